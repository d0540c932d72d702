import assert from "node:assert/strict";
import { readConfigFile } from "../host/files.ts";
import { builtInServices } from "../topology/services.ts";
import { configureOn, type Machine, section } from "../tests/support/command_line.ts";
import { type Configuration, configure, readSection } from "./config.ts";
import { agentVersion, type KeyName, keyNames, options, variableOf } from "./options.ts";

/** The entries of the section `agent` as `line key=value`; null when there is no such section. */
const read = (text: string) =>
  readSection(text, "x.ini")?.map(({ key, value, line }) => `${line} ${key}=${value}`) ?? null;

Deno.test("readSection() reads files of text editors and of the first agent", () => {
  const cases: [text: string, expected: string[]][] = [
    ["[agent]", []],
    ["[agent]\nmaster-host = m.test\n\n  swarmctl-port=1  \n", [
      "2 master-host=m.test",
      "4 swarmctl-port=1",
    ]],
    ["[agent]\nmaster_host \t=  a = b:c \nhost-uuid:=x", [
      "2 master-host=a = b:c",
      "3 host-uuid==x",
    ]],
    ["[agent]\n# a = 1\n[other]\na = 1", []],
    ["\ufeff[agent]\na = 1", ["2 a=1"]],
    ["[agent]\r\na = 1\r\nb = 2\r\n", ["2 a=1", "3 b=2"]],
    ["[agent]\ra = 1\r\rb = 2", ["2 a=1", "4 b=2"]],
    ["[agent]\n\ra = 1\r\n\r\nb = 2", ["3 a=1", "5 b=2"]],
    ["[agent]\na : 1\nb:2\nc:/d=e\nf=g:h", ["2 a=1", "3 b=2", "4 c=/d=e", "5 f=g:h"]],
    ["[agent]\n# a = 1\n; b = 2\n  # c = 3\nd = 4 # 5 ; 6", ["5 d=4 # 5 ; 6"]],
    ["[agent]\nMaster-Host = M.Test", ["2 master-host=M.Test"]],
    ["[agent]\na =\nb=", ["2 a=", "3 b="]],
    ["[agent]\nMASTER_host = a_b\n__=_", ["2 master-host=a_b", "3 --=_"]],
    ["[AGENT]\na = 1\n[other]\na = 2\na = 3\n[Agent]\nb = 4", ["2 a=1", "7 b=4"]],
    ["[agent] # ours\na = 1\n[other];\nb = 2\n[ agent ]\t; [x]\nc = 3", ["2 a=1", "6 c=3"]],
    ["[agent]\na = = b = c", ["2 a== b = c"]],
    ["[agent]\n\ta\t=\tb\tc\t", ["2 a=b\tc"]],
    ["[agent]\n[ other ]\na = 1\n[ agent ]\nb = 2", ["5 b=2"]],
    [
      "[agent]\na = 1\n[other]\nthis is not read\n= x\n  [nor this\n[agent]\nb = 2",
      ["2 a=1", "8 b=2"],
    ],
    ["; \0 and \ufffd\n[agent]\n# \ufffd\na = 1", ["4 a=1"]],
    ['[agent]\na = é😀 "quoted"', ['2 a=é😀 "quoted"']],
  ];
  for (const [text, expected] of cases) assert.deepEqual(read(text), expected, text);
});

Deno.test("readSection() returns null for an absent section", () => {
  for (const text of ["", "\ufeff", "# [agent]\n", "[agents]\nb = 2\n[]\nagent = 3", "[a gent]"]) {
    assert.equal(read(text), null, text);
  }
});

Deno.test("readSection() names the line that is malformed", () => {
  const noEntry = 'neither "key = value" nor a comment';
  const noSection = "comes before any section: put [agent] above it";
  const cases: [problem: string, lines: string[]][] = [
    [
      `is ${noEntry}`,
      ["nonsense", "= value", ": value", "agent]", "-", "  [other", ":", "a\u2028 = x"],
    ],
    [noSection, ["[agent", "[agent]]", "[agent] b = 2", "[", "[b = 2"]],
    ["is not text", ["b = \0", "b\ufffd = 2", "\x08", "[\0]"]],
    ["sets 'a' again", ["a = 1", "A : 2", "a ="]],
    ["sets 'master-host' again", ["master-HOST = a"]],
  ];
  for (const [problem, line] of cases.flatMap(([it, lines]) => lines.map((line) => [it, line]))) {
    assert.throws(() => read(`[agent]\na = 1\r\nmaster_host = m\r\r\n${line}\nb = 2`), {
      name: "UsageError",
      message: `Cannot read x.ini: line 5 ${problem}`,
    }, line);
  }
  // Malformed lines of other sections count, too: a broken header may be that of [agent].
  for (
    const [text, problem] of [
      ["a = 1\n[agent]", `line 1 ${noSection}`],
      ["\n# a\nnonsense\n[agent]", `line 3 ${noSection}`],
      ["\ufeff[agent", `line 1 ${noSection}`],
      ["[other]\n[agent\na = 1", `line 2 ${noSection}`],
      ["[agent]\na = 1\n[other]\nb = 2\n[agent]\na = 3", "line 6 sets 'a' again"],
      ["\ufffd\ufffd[\0a\0]\0", "line 1 is not text"],
      ["[other]\nb = \0\n[agent]", "line 2 is not text"],
    ]
  ) {
    assert.throws(() => read(text!), { message: `Cannot read x.ini: ${problem}` }, text);
  }
});

Deno.test("configure() has a default for everything", () => {
  assert.deepEqual(configureOn({ variables: { HOME: "/root" } }), {
    agent: {
      agentVersion,
      hostUuid: null,
      master: null,
      agentDirectory: "/root/.decnet/agent",
      storePath: "/var/lib/decnet-agent/topology.db",
      sockets: ["/var/run/docker.sock", "/run/podman/podman.sock"],
      networkPrefixes: ["decnet-topology-", "decnet_t_"],
      containerPrefixes: ["decnet-", "decnet_t_"],
      planOptions: {
        images: {
          base: "debian:bookworm-slim",
          service: "decnet/{service}:latest",
          byService: new Map(),
        },
        services: builtInServices,
        publish: "0.0.0.0",
        artifactsDirectory: null,
      },
    },
    intervalMs: 30_000,
    supersede: false,
    listen: null,
    logLevel: "info",
    logs: null,
    textfile: null,
    warnings: [],
  });
});

const HOME = "/home/a";
const XDG_RUNTIME_DIR = "/run/user/7";
const systemSockets = ["/var/run/docker.sock", "/run/podman/podman.sock"];
const allSockets = [
  ...["/var/run/docker.sock", "/run/user/7/docker.sock"],
  ...["/run/podman/podman.sock", "/run/user/7/podman/podman.sock"],
];
const master = { "master-host": "10.0.0.1", "host-uuid": "h" };
const address = { host: "10.0.0.1", port: 8765 };
const onAll = (port: number) => ({ host: "0.0.0.0", port, allowedNames: ["decnet-master"] });

/** A part of the configuration, and its value on several machines. */
type Derived = [
  what: string,
  read: (configuration: Configuration) => unknown,
  ...cases: [machine: Machine, expected: unknown][],
];

const derived: Derived[] = [
  [
    "the folder of certificates",
    ({ agent }) => agent.agentDirectory,
    [{ existing: ["/etc/decnet/agent"] }, "/etc/decnet/agent"],
    [{ variables: { HOME }, isRoot: false }, "/home/a/.decnet/agent"],
  ],
  [
    "the folder of the store",
    ({ agent }) => agent.storePath.replace(/\/topology\.db$/, ""),
    [{ variables: { STATE_DIRECTORY: "/run/state", HOME } }, "/run/state"],
    [{ variables: { STATE_DIRECTORY: "/run/one:/run/two" }, isRoot: false }, "/run/one"],
    [{ variables: { STATE_DIRECTORY: "", HOME } }, "/var/lib/decnet-agent"],
    [{ variables: { HOME, XDG_STATE_HOME: "/x" } }, "/var/lib/decnet-agent"],
    [
      { variables: { HOME }, isRoot: false, existing: ["/var/lib/decnet-agent"] },
      "/var/lib/decnet-agent",
    ],
    [{ variables: { HOME, XDG_STATE_HOME: "/x" }, isRoot: false }, "/x/decnet-agent"],
    ...["x", ""].map((XDG_STATE_HOME): [Machine, string] => [
      { variables: { HOME, XDG_STATE_HOME }, isRoot: false },
      "/home/a/.local/state/decnet-agent",
    ]),
    [{ flags: { "state-dir": "/given/" }, variables: { STATE_DIRECTORY: "/s" } }, "/given"],
  ],
  [
    "the sockets",
    ({ agent }) => agent.sockets,
    [{ variables: { XDG_RUNTIME_DIR } }, allSockets],
    [{ variables: { XDG_RUNTIME_DIR, DOCKER_HOST: "" } }, allSockets],
    [{ variables: { XDG_RUNTIME_DIR: "run" } }, systemSockets],
    [{ variables: { XDG_RUNTIME_DIR, DOCKER_HOST: "unix:///d" } }, ["/d"]],
    [{ variables: { DOCKER_HOST: "tcp://d" }, ini: section("docker-host = unix:///i") }, ["/i"]],
  ],
  [
    "the master",
    ({ agent }) => agent.master,
    [{ flags: master }, { host: "10.0.0.1", port: 8770, name: null, fingerprint: null }],
    [
      { flags: { ...master, "master-name": "m" } },
      { host: "10.0.0.1", port: 8770, name: "m", fingerprint: null },
    ],
    [{ flags: { "master-name": "m", "swarmctl-port": "1" } }, null],
    [{ flags: { "host-uuid": "h" } }, null],
  ],
  [
    "who may push, and where",
    ({ listen }) => listen,
    [{ flags: { listen: "10.0.0.1:8765" } }, { ...address, allowedNames: ["decnet-master"] }],
    [
      { flags: { listen: "10.0.0.1:8765", "allowed-cn": "a, b" } },
      { ...address, allowedNames: ["a", "b"] },
    ],
    [{ flags: { "allowed-cn": "a" } }, null],
    [{ ini: section("agent-port = 9") }, onAll(9)],
    [{ ini: section("AGENT_PORT: 9", "agent-dir = /a") }, onAll(9)],
    [{ ini: section("agent-port = 9", "listen =") }, onAll(9)],
    [{ ini: section("agent-port = 9"), variables: { DECNET_LISTEN: "" } }, onAll(9)],
    // Of all sources, only the ini file has it.
    [{ variables: { DECNET_AGENT_PORT: "9" } }, null],
    [{ ini: section("agent-port =") }, null],
    [{ ini: "[decnet]\nagent-port = 9" }, null],
    // Where `listen` is set, it counts.
    [{ ini: section("agent-port = 9", "listen = off") }, null],
    [{ ini: section("listen = off", "agent-port = 9") }, null],
    [{ ini: section("agent-port = 9"), variables: { DECNET_LISTEN: "off" } }, null],
    [{ ini: section("agent-port = 9"), flags: { listen: "off" } }, null],
    [
      { ini: section("agent-port = 9", "listen = 10.0.0.1:8765") },
      { ...address, allowedNames: ["decnet-master"] },
    ],
    [
      { ini: section("agent-port = 9", "listen = off"), flags: { listen: "10.0.0.1:8765" } },
      { ...address, allowedNames: ["decnet-master"] },
    ],
  ],
  [
    "where lines of the decoys go",
    ({ logs }) => logs,
    [{}, null],
    [{ flags: { "syslog-port": "6514" } }, null],
    [{ flags: master }, null],
    [{ flags: { ...master, "forward-logs": "false", "syslog-port": "6514" } }, null],
    [{ flags: { ...master, "syslog-port": "6514" } }, { host: "10.0.0.1", port: 6514 }],
    [
      { flags: { ...master, "forward-logs": "true" }, ini: section("syslog-port = 1") },
      { host: "10.0.0.1", port: 1 },
    ],
    [{ flags: master, ini: section("swarm_syslog_port = 2") }, { host: "10.0.0.1", port: 2 }],
    [
      { flags: master, ini: section("swarm-syslog-port = 2", "syslog-port = 3") },
      { host: "10.0.0.1", port: 3 },
    ],
    [
      { flags: master, ini: section("syslog-port = 3", "swarm-syslog-port = 2") },
      { host: "10.0.0.1", port: 3 },
    ],
    [
      { flags: { ...master, "syslog-port": "4" }, ini: section("swarm-syslog-port = 2") },
      { host: "10.0.0.1", port: 4 },
    ],
  ],
];

for (const [what, read, ...cases] of derived) {
  Deno.test(`configure() finds ${what}`, () => {
    for (const [machine, expected] of cases) {
      assert.deepEqual(read(configureOn(machine)), expected, JSON.stringify(machine));
    }
  });
}

Deno.test("configure() refuses an engine that is not on this host", () => {
  const variables = { DOCKER_HOST: "tcp://d:2375" };
  const allowed = `must be ${options["docker-host"].allowed}`;
  const message = `docker-host: 'tcp://d:2375' (from $DOCKER_HOST) ${allowed}`;
  assert.throws(() => configureOn({ variables }), { name: "UsageError", message });
});

Deno.test("configure() refuses to forward logs without the master or its port", () => {
  const cases: [missing: string, flags: Record<string, string>][] = [
    ["master-host", { "syslog-port": "6514" }],
    ["syslog-port", master],
  ];
  for (const [missing, flags] of cases) {
    const message = new RegExp(`^${missing}: required with forward-logs, but not set; it is the `);
    const configureWith = () => configureOn({ flags: { ...flags, "forward-logs": "true" } });
    assert.throws(configureWith, { name: "UsageError", message });
  }
});

Deno.test("configure() takes the port of the issued ini file without a warning", () => {
  const ini = section("swarm-syslog-port = 0");
  const message = /^syslog-port: '0' \(from \/etc\/decnet\/decnet.ini line 2\) must be/;
  assert.throws(() => configureOn({ ini }), { name: "UsageError", message });
  assert.deepEqual(configureOn({ ini: section("swarm-syslog-port = 1") }).warnings, []);
});

Deno.test("configure() warns of an unknown key in the ini file", () => {
  const { intervalMs, agent, warnings } = configureOn({
    config: "/my.ini",
    ini: section("Master_Hosts = m", "interval = 7s", "constructor = x", "once =", "state-dir ="),
  });
  assert.deepEqual([intervalMs, agent.storePath], [7_000, "/var/lib/decnet-agent/topology.db"]);
  assert.deepEqual(warnings, [
    "/my.ini line 2: unknown key 'master-hosts' is ignored; did you mean master-host?",
    "/my.ini line 4: unknown key 'constructor' is ignored",
    "/my.ini line 5: unknown key 'once' is ignored",
  ]);
  // Looking for a known key takes time, and a file may have 100,000 unknown ones.
  const keys = Array.from({ length: 99 }, (_, index) => `interval${index} = 1`);
  const asked = configureOn({ ini: section(...keys) }).warnings.map((it) =>
    /mean interval/.test(it)
  );
  assert.deepEqual([asked.indexOf(false), asked.lastIndexOf(true), asked.length], [20, 19, 99]);
});

Deno.test("configure() takes the ini file that the master issues as it is", () => {
  const ini = Deno.readTextFileSync(new URL("../tests/data/issued.ini", import.meta.url));
  const { agent, listen, warnings } = configureOn({ ini });
  assert.deepEqual(warnings, []);
  assert.deepEqual(agent.master, {
    host: "127.0.0.1",
    port: 8770,
    name: null,
    fingerprint: null,
  });
  assert.deepEqual(
    [agent.agentDirectory, agent.hostUuid],
    ["/etc/decnet/agent", "6f1f6a3e-43a5-4ab1-9a3f-0c6b4f6a4f0e"],
  );
  assert.deepEqual(listen, onAll(8765));
});

Deno.test("configure() refuses a wrong agent-port, unless listen is set", () => {
  for (const port of ["0", "65536", "eight", "127.0.0.1:8765", "8765 "]) {
    const ini = section("interval = 9s", `agent-port = ${port}x`);
    const message = `listen: '0.0.0.0:${port}x' (from agent-port in /etc/decnet/decnet.ini ` +
      `line 3) must be ${options.listen.allowed}`;
    assert.throws(() => configureOn({ ini }), { name: "UsageError", message });
    assert.equal(configureOn({ ini, flags: { listen: "off" } }).listen, null);
  }
});

Deno.test("configure() needs the file and section that --config names", () => {
  const config = "/my.ini";
  const cases: [ini: string | null, detail: string, reason: string][] = [
    [null, "no such file", "absent"],
    ["", "no section [agent] in it", "no-section"],
    ["[agents]\ninterval = 9s", "no section [agent] in it", "no-section"],
    ["# [agent]\n# interval = 9s", "no section [agent] in it", "no-section"],
  ];
  for (const [ini, detail, reason] of cases) {
    const message = `Cannot read /my.ini: ${detail}`;
    assert.throws(() => configureOn({ config, ini }), { name: "UsageError", message, reason });
    assert.deepEqual(configureOn({ ini }), configureOn({}));
  }
  assert.equal(configureOn({ config, ini: section("interval = 9s") }).intervalMs, 9_000);
  assert.equal(configureOn({ config, ini: "[AGENT]" }).intervalMs, 30_000);
});

Deno.test("configure() takes /dev/null for no ini file", () => {
  const environment = {
    variable: () => undefined,
    readFile: readConfigFile,
    exists: () => true,
    isRoot: true,
  };
  const { warnings, intervalMs } = configure(new Map(), "/dev/null", environment);
  assert.deepEqual([warnings, intervalMs], [[], 30_000]);
  for (const other of ["/dev/zero", "/dev"]) {
    assert.throws(() => configure(new Map(), other, environment), { reason: "unreadable" });
  }
});

Deno.test("configure() refuses an ini file that cannot be read", () => {
  const configureWith = (error: Error) =>
    configure(new Map(), null, {
      variable: () => undefined,
      readFile: () => {
        throw error;
      },
      exists: () => false,
      isRoot: false,
    });
  const denied = "permission denied; the agent's user must be able to read it";
  const cases: [error: Error, reason: string, detail: string][] = [
    [new Deno.errors.PermissionDenied("permission denied"), "denied", denied],
    [new Error("it is not a regular file"), "unreadable", "it is not a regular file"],
    [
      new Deno.errors.NotCapable("run again with the --allow-all flag"),
      "unreadable",
      "the agent may not use files in /dev, /proc and /sys",
    ],
  ];
  for (const [error, reason, detail] of cases) {
    const message = `Cannot read /etc/decnet/decnet.ini: ${detail}`;
    assert.throws(() => configureWith(error), { name: "UsageError", reason, message });
  }
});

/** For each key: three values, a wrong one, and how to read the value from the configuration. */
const samples: Record<KeyName, [string[], (configuration: Configuration) => unknown]> = {
  "master-host": [["a", "b", "c", "a b"], ({ agent }) => agent.master?.host],
  "swarmctl-port": [["1", "2", "3", "0"], ({ agent }) => String(agent.master?.port)],
  "master-name": [["a", "b", "c", "*"], ({ agent }) => agent.master?.name],
  "master-fingerprint": [
    [..."abc"].map((digit) => digit.repeat(64)).concat("a"),
    ({ agent }) => agent.master?.fingerprint,
  ],
  "host-uuid": [["a", "b", "c", "a b"], ({ agent }) => agent.hostUuid],
  "agent-dir": [["/a", "/b", "/c", "\t"], ({ agent }) => agent.agentDirectory],
  "state-dir": [
    ["/a", "/b", "/c", "\t"],
    ({ agent }) => agent.storePath.replace("/topology.db", ""),
  ],
  "docker-host": [
    ["unix:///a", "unix:///b", "unix:///c", "/a"],
    ({ agent }) => `unix://${agent.sockets.join()}`,
  ],
  "interval": [["5s", "6s", "7s", "4s"], ({ intervalMs }) => `${intervalMs / 1000}s`],
  "log-level": [["error", "warn", "debug", "trace"], ({ logLevel }) => logLevel],
  "network-prefix": [["a", "b", "c", "-"], ({ agent }) => agent.networkPrefixes.join()],
  "container-prefix": [["a", "b", "c", "-"], ({ agent }) => agent.containerPrefixes.join()],
  "base-image": [["a", "b", "c", "A"], ({ agent }) => agent.planOptions.images.base],
  "service-image": [
    ["a", "b/{service}", "c", "{service"],
    ({ agent }) => agent.planOptions.images.service,
  ],
  "services": [
    ["/a", "/b", "/c", "\t"],
    ({ agent }) => `/${[...agent.planOptions.services.keys()].at(-1)}`,
  ],
  "publish": [["10.0.0.1", "0.0.0.0", "10.0.0.2", "a"], ({ agent }) => agent.planOptions.publish],
  "artifacts-dir": [
    ["/a", "/b", "/c", "a"],
    ({ agent }) => agent.planOptions.artifactsDirectory,
  ],
  "listen": [
    ["10.0.0.1:1", "[::1]:2", "0.0.0.0:3", "10.0.0.1"],
    ({ listen }) => listen?.host.replace(/.*:.*/, "[$&]").concat(`:${listen.port}`),
  ],
  "allowed-cn": [["a", "b", "c", ","], ({ listen }) => listen?.allowedNames.join()],
  "textfile": [["/a.prom", "b.prom", "/c.prom", "/"], ({ textfile }) => textfile],
  "supersede": [["true", "false", "true", "yes"], ({ supersede }) => String(supersede)],
  "forward-logs": [["true", "false", "true", "yes"], ({ logs }) => String(logs !== null)],
  "syslog-port": [["1", "2", "3", "0"], ({ logs }) => String(logs?.port)],
};

for (const name of keyNames) {
  const [[flag, variable, ini, wrong], read] = samples[name] as [
    string[],
    typeof samples[KeyName][1],
  ];
  // Without these keys, some others have no effect.
  const needed = {
    "master-host": "m",
    "host-uuid": "h",
    "listen": "0.0.0.0:1",
    "syslog-port": "6514",
  };
  const neededIni = Object.entries(needed).filter(([key]) => key !== name)
    .map(([key, value]) => `${key} = ${value}`);
  const configureWith = (...[flag, variable, ini]: (string | undefined)[]) =>
    configureOn({
      flags: flag === undefined ? {} : { [name]: flag },
      variables: variable === undefined ? {} : { [variableOf(name)]: variable },
      files: Object.fromEntries([..."abc"].map((name) => [`/${name}`, `{"${name}": {}}`])),
      ini: section(...neededIni, ...(ini === undefined ? [] : [`${name} = ${ini}`])),
    });

  Deno.test(`configure() reads ${name} from flag, variable or ini file`, () => {
    assert.equal(read(configureWith(flag, variable, ini)), flag);
    assert.equal(read(configureWith(undefined, variable, ini)), variable);
    assert.equal(read(configureWith(undefined, "", ini)), ini);
    assert.equal(read(configureWith(undefined, undefined, ini)), ini);
    // Values with a lower precedence are not parsed.
    assert.equal(read(configureWith(flag, wrong, wrong)), flag);
    const refused: [origin: string, ...sources: Parameters<typeof configureWith>][] = [
      [`--${name}`, wrong, variable, ini],
      [`$${variableOf(name)}`, undefined, wrong, ini],
    ];
    // The ini file cannot hold it: white space around a value is dropped there.
    if (wrong !== "\t") {
      const line = 2 + neededIni.length;
      refused.push([`/etc/decnet/decnet.ini line ${line}`, undefined, undefined, wrong]);
    }
    for (const [origin, ...sources] of refused) {
      const message = `${name}: '${wrong}' (from ${origin}) must be ${options[name].allowed}`;
      assert.throws(() => configureWith(...sources), { name: "UsageError", message });
    }
  });
}

Deno.test("configure() adds the entries of the services file to the catalogue", () => {
  const flags = { services: "/s.json" };
  const text = '{"ssh": {"ports": ["2222/tcp"]}, "own": {"capabilities": ["NET_RAW"]}}';
  const { services } = configureOn({ flags, files: { "/s.json": text } }).agent.planOptions;
  const absent = { environment: {}, ports_when: [], confined: false };
  // An entry replaces the whole entry: no variable of the built-in one is left.
  assert.deepEqual(services.get("ssh"), { ...absent, ports: ["2222/tcp"], capabilities: [] });
  assert.deepEqual(services.get("own"), { ...absent, ports: [], capabilities: ["NET_RAW"] });
  assert.equal(services.get("dns"), builtInServices.get("dns"));
});

Deno.test("configure() refuses a services file with its first faults", () => {
  const cases: [files: Record<string, string>, fault: string][] = [
    [{}, "no such file"],
    [{ "/s.json": "[]" }, "the document: expected object, got array"],
    [{ "/s.json": '{"a": 1' }, "it is not valid JSON: it ends too early"],
    [
      { "/s.json": '{"a": {"ports": [1]}, "b": 2}' },
      "a.ports[0]: expected string, got number; b: expected object, got number",
    ],
  ];
  for (const [files, fault] of cases) {
    const message = `Cannot read /s.json: ${fault}`;
    const configureWith = () => configureOn({ flags: { services: "/s.json" }, files });
    assert.throws(configureWith, { name: "UsageError", message });
  }
});

Deno.test("configure() refuses a wrong value of a key without effect", () => {
  for (const [name, value] of Object.entries({ "swarmctl-port": "0", "allowed-cn": "," })) {
    assert.throws(() => configureOn({ flags: { [name]: value } }), { name: "UsageError" }, name);
  }
});

const length = 100_000;

/** Runs `work` up to three times, in case that the machine is busy. */
function isFast(work: () => void): boolean {
  return Array.from({ length: 3 }).some(() => {
    const startedAt = performance.now();
    work();
    return performance.now() - startedAt < 1_000;
  });
}

Deno.test("readSection() is fast with long lines and many keys", () => {
  const spaces = `[agent]\na${" ".repeat(length)}b`;
  assert.ok(isFast(() => assert.throws(() => readSection(spaces, "x.ini"), /line 2 is neither/)));
  const keys = Array.from({ length: 40_000 }, (_, index) => `key-${index} = 1`);
  const many = ["[agent]", ...keys].join("\n");
  assert.ok(isFast(() => assert.equal(readSection(many, "x.ini")?.length, 40_000)));
});

Deno.test("options parse long values fast", () => {
  for (const [name, { parse }] of Object.entries(options)) {
    for (const unit of ["[", ":", "::", "/", "a.", "a-", "--", ",", " ", "=", "0"]) {
      const value = `[${unit.repeat(length)} !`;
      assert.ok(isFast(() => parse(value)), `${name as KeyName}: ${unit}`);
    }
  }
});
