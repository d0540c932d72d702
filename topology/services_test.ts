import assert from "node:assert/strict";
import { type JsonObject, parseJson } from "./json.ts";
import {
  builtInServices,
  maximumServicesLength,
  parseServices,
  resolveEnvironment,
  resolvePorts,
  type VariableFacts,
} from "./services.ts";

const configOf = (json: string) => parseJson(json) as JsonObject;

/** The environment that a service of the catalogue gets: `NAME=value`. */
function environmentOf(service: string, config: string): string[] {
  const { variables, faults } = resolveEnvironment(builtInServices.get(service)!, configOf(config));
  assert.deepEqual(faults, []);
  return variables.map(({ name, value }) => `${name}=${value}`);
}

/** What becomes of one value: the text that is sent, null, or the fault. */
function resolve(facts: VariableFacts, json: string) {
  const config = configOf(`{"key": ${json}}`);
  const { variables, faults: [fault] } = resolveEnvironment({ environment: { V: facts } }, config);
  return fault ?? variables[0]?.value ?? null;
}

Deno.test("parseServices() reads the catalogue of builtInServices", () => {
  const file = new URL("services.json", import.meta.url);
  const catalogue = parseServices(Deno.readTextFileSync(file));
  assert.deepEqual([...catalogue.keys()], [...builtInServices.keys()]);
  const absent = { ports_when: [], environment: {}, capabilities: [], confined: false };
  for (const [name, facts] of builtInServices) {
    assert.deepEqual(catalogue.get(name), { ...absent, ...facts }, name);
  }
});

Deno.test("resolveEnvironment() sets the defaults of each service", () => {
  const expected: { [service: string]: string } = {
    conpot: "CONPOT_TEMPLATE=default",
    dns: "DNS_BIND_VERSION=9.11.4-P2-RedHat-9.11.4-26.P2.el7_9.10 DNS_DOMAIN= " +
      "DNS_EXTRA_RECORDS= DNS_FORWARD_BUDGET=50 DNS_FORWARD_WINDOW=1.0 DNS_NSID= " +
      "DNS_REAL_RECURSIVE=false DNS_STATE_PATH= DNS_UPSTREAM=8.8.8.8:53 DNS_ZONE_MODE=auth",
    smtp: "SMTP_QUARANTINE_DIR=/var/spool/mqueue",
    smtp_relay: "SMTP_OPEN_RELAY=1 SMTP_QUARANTINE_DIR=/var/spool/mqueue " +
      "SMTP_SERVICE_NAME=smtp_relay",
    ssh: "SSH_ROOT_PASSWORD=admin SSH_USER=ubuntu SSH_USER_PASSWORD=admin",
    telnet: "TELNET_ROOT_PASSWORD=admin TELNET_USER=ubuntu TELNET_USER_PASSWORD=admin",
  };
  for (const service of builtInServices.keys()) {
    for (const config of ["{}", '{"image": "a:1", "unused": [1]}']) {
      assert.equal(environmentOf(service, config).join(" "), expected[service] ?? "", service);
    }
  }
});

Deno.test("resolveEnvironment() sets each variable that has a key", () => {
  for (const [service, { environment = {} }] of builtInServices) {
    for (const [name, { from, as, value }] of Object.entries(environment)) {
      if (from === undefined) continue;
      const given = as === "boolean" ? "true" : "of the document";
      const sent = environmentOf(service, JSON.stringify({ [from]: given }));
      assert.ok(sent.includes(`${name}=${value ?? given}`), `${service} ${name}: ${sent}`);
      const withNull = environmentOf(service, JSON.stringify({ [from]: null }));
      assert.deepEqual(withNull, environmentOf(service, "{}"));
    }
  }
});

Deno.test("resolveEnvironment() sends each kind of value as its text", () => {
  const plain: VariableFacts = { from: "key", default: "fallback" };
  const json: VariableFacts = { ...plain, as: "json" };
  const either: VariableFacts = { from: "key", value: "on", as: "boolean" };
  const malformed = (shape: string) => ({
    key: "key",
    fault: `expected string, number, true or false, got ${shape}`,
  });
  const cases: [facts: VariableFacts, json: string, expected: unknown][] = [
    [plain, '"text"', "text"],
    [plain, '""', ""],
    [plain, '" a=b\\n\\u2028😀 "', " a=b\n\u2028😀 "],
    [plain, "1.0", "1.0"],
    [plain, "1E+400", "1E+400"],
    [plain, "123456789012345678901234567890", "123456789012345678901234567890"],
    [plain, "true", "true"],
    [plain, "null", "fallback"],
    [plain, "[]", malformed("array")],
    [plain, '{"secret": "hunter2"}', malformed("object")],
    [
      json,
      '{"b": 1.0, "a": [true, null, "é\\u0000"]}',
      '{"a":[true,null,"\\u00e9\\u0000"],"b":1.0}',
    ],
    [json, '["h2", 10000000000000000000001]', '["h2",10000000000000000000001]'],
    [json, '"[1]"', "[1]"],
    [json, "7.50", "7.50"],
    [either, "true", "on"],
    [either, '"true"', "on"],
    [either, "false", null],
    [either, '"True"', null],
    [either, "1", null],
    [either, "[true]", malformed("array")],
    [{ ...either, default: "off" }, "false", "off"],
    [{ from: "key", value: "on" }, "true", "on"],
    [{ from: "key", as: "boolean" }, "true", "true"],
    [{ value: "fixed" }, '"other"', "fixed"],
  ];
  for (const [facts, json, expected] of cases) {
    assert.deepEqual(resolve(facts, json), expected, JSON.stringify([facts, json]));
  }
});

Deno.test("resolveEnvironment() takes only keys that the document has", () => {
  for (const from of ["constructor", "__proto__", "toString"]) {
    for (const facts of [{ from }, { from, as: "json" }] as VariableFacts[]) {
      const variablesOf = (config: JsonObject) =>
        resolveEnvironment({ environment: { V: facts } }, config).variables;
      assert.deepEqual([variablesOf({}), variablesOf(configOf("{}"))], [[], []]);
      assert.equal(variablesOf(configOf(`{"${from}": "given"}`))[0]!.value, "given");
    }
  }
});

Deno.test("resolveEnvironment() rejects NUL and over 64 KiB, without the value", () => {
  const facts: VariableFacts = { from: "key", as: "json" };
  const tooLong = { key: "key", fault: "it has over 64 KiB" };
  const nul = { key: "key", fault: "a NUL character cannot be in an environment variable" };
  assert.deepEqual(resolve(facts, '"hunter2\\u0000"'), nul);
  const longest = "a".repeat(65_536);
  assert.equal(resolve(facts, `"${longest}"`), longest);
  assert.deepEqual(resolve(facts, `"${longest}b"`), tooLong);
  // Bytes count: these have two each.
  assert.deepEqual(resolve(facts, `"${"é".repeat(32_769)}"`), tooLong);
  assert.deepEqual(resolve(facts, `["${longest}"]`), tooLong);
  assert.deepEqual(resolve(facts, "1".repeat(65_537)), tooLong);
});

Deno.test("resolveEnvironment() shows no value that comes from the document", () => {
  const { variables } = resolveEnvironment(
    {
      environment: {
        FIXED: { value: "a" },
        DEFAULT: { from: "absent", default: "b" },
        GIVEN: { from: "given", default: "c" },
        SWITCH: { from: "off", value: "d", default: "e", as: "boolean" },
      },
    },
    configOf('{"given": "c", "off": false}'),
  );
  assert.deepEqual(variables, [
    { name: "DEFAULT", value: "b", isPublic: true },
    { name: "FIXED", value: "a", isPublic: true },
    { name: "GIVEN", value: "c", isPublic: false },
    { name: "SWITCH", value: "e", isPublic: false },
  ]);
});

Deno.test("resolvePorts() finds the ports of each service, each once", () => {
  for (const facts of builtInServices.values()) {
    assert.deepEqual(resolvePorts(facts, configOf("{}")), facts.ports);
  }
  const twice = { ports: ["1/tcp", "1/udp", "1/tcp"] as const };
  assert.deepEqual(resolvePorts(twice, configOf("{}")), ["1/tcp", "1/udp"]);
  assert.deepEqual(resolvePorts({}, configOf("{}")), []);
  const https = builtInServices.get("https")!;
  const portsOf = (versions: string) =>
    resolvePorts(https, configOf(`{"http_versions": ${versions}}`));
  for (const versions of ['["http/1.1", "http/3"]', '"http/2,http/3"']) {
    assert.deepEqual(portsOf(versions), ["443/tcp", "443/udp"]);
  }
  for (const versions of ['["http/2"]', "[3]", "3", "true", "null", '{"http/3": true}']) {
    assert.deepEqual(portsOf(versions), ["443/tcp"]);
  }
});

Deno.test("parseServices() reads each field of an entry", () => {
  const entry = {
    ports: ["65535/tcp", "1/udp"],
    ports_when: [{ key: "k", contains: "c", ports: ["2/tcp"] }],
    environment: { _A1: { value: "" }, B: { from: "b", value: "v", default: "d", as: "boolean" } },
    capabilities: ["NET_RAW", "NET_ADMIN", "NET_BIND_SERVICE"],
    artifacts: { directory: "a.b-c", container: "/var/..a/b" },
    confined: true,
  };
  const services = parseServices(JSON.stringify({ _: "a comment", "own.service": entry }));
  assert.deepEqual([...services], [["own.service", entry]]);
  assert.deepEqual([...parseServices("{}")], []);
});

Deno.test("parseServices() names what is wrong, and where", () => {
  const environments = [
    [
      '{"HOSTNAME": {"value": "a"}}',
      ".HOSTNAME: the agent sets this variable, to the decky's name",
    ],
    ['{"A=B": {"value": "a"}}', '."A=B": not the name of an environment variable'],
    ['{"A": "a"}', ".A: expected object, got string"],
    ['{"A": {"default": "a"}}', ".A: needs from or value, and as only with from"],
    ['{"A": {"value": "a", "as": "json"}}', ".A: needs from or value, and as only with from"],
    ['{"A": {"from": "a", "as": "text"}}', ".A.as: expected json or boolean, got text"],
    ['{"A": {"from": "a", "default": 5}}', ".A.default: expected string, got number"],
    [
      '{"A": {"value": "\\u0000"}}',
      ".A.value: a NUL character cannot be in an environment variable",
    ],
  ];
  const cases: [entry: string, fault: string][] = [
    ["7", "s: expected object, got number"],
    [
      '{"port": []}',
      "s.port: unknown key, not one of ports, ports_when, environment, capabilities, artifacts, confined",
    ],
    ['{"ports": "22/tcp"}', "s.ports: expected array, got string"],
    ['{"ports": [22]}', "s.ports[0]: expected string, got number"],
    ...["22", "22/sctp", "0/tcp", "65536/tcp", "022/tcp"].map((port): [string, string] => [
      `{"ports": ["1/tcp", "${port}"]}`,
      `s.ports[1]: expected a port such as 53/udp, got ${port}`,
    ]),
    [
      '{"ports_when": [{"key": "k", "ports": []}]}',
      "s.ports_when[0].contains: expected string, got nothing",
    ],
    [
      '{"capabilities": ["NET_RAW", "SYS_ADMIN"]}',
      "s.capabilities[1]: expected NET_BIND_SERVICE or NET_RAW or NET_ADMIN, got SYS_ADMIN",
    ],
    ...environments.map(([entry, fault]): [string, string] => [
      `{"environment": ${entry}}`,
      `s.environment${fault}`,
    ]),
    ['{"artifacts": {"directory": "a"}}', "s.artifacts.container: expected string, got nothing"],
    ...["..", "a/b", "", "a:b"].map((folder): [string, string] => [
      JSON.stringify({ artifacts: { directory: folder, container: "/a" } }),
      `s.artifacts.directory: expected the name of a folder, got ${folder || '""'}`,
    ]),
    ...["/", "a", "/a/../b", "/a/.", "/a:ro", "//a"].map((path): [string, string] => [
      JSON.stringify({ artifacts: { directory: "a", container: path } }),
      `s.artifacts.container: expected an absolute path, got ${path}`,
    ]),
    ['{"confined": "yes"}', "s.confined: expected true or false, got string"],
  ];
  for (const [entry, fault] of cases) {
    const error = { name: "TypeError", message: fault };
    assert.throws(() => parseServices(`{"s": ${entry}}`), error);
  }
  assert.throws(() => parseServices("[]"), { message: "the document: expected object, got array" });
  for (const name of ["", "ssh ", "a b", "-a", "ssh,ftp", "é", "a".repeat(64)]) {
    assert.throws(() => parseServices(JSON.stringify({ [name]: {} })), {
      message: /: no service can have this name$/,
    }, name);
  }
  assert.throws(() => parseServices("{"), { name: "SyntaxError" });
  assert.throws(() => parseServices(" ".repeat(maximumServicesLength + 1)), /over 1 MiB/);
});
