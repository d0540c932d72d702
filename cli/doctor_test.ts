import assert from "node:assert/strict";
import type { Result } from "../doctor/context.ts";
import type { Finding } from "../doctor/doctor.ts";
import { section } from "../tests/support/command_line.ts";
import { TemporaryFolder } from "../tests/support/environment.ts";
import { builtInServices } from "../topology/services.ts";
import { doctorJson, explainConfiguration, findingText } from "./doctor.ts";
import type { KeyName } from "./options.ts";

function finding(name: string, result: Result): Finding {
  return { check: { name, code: 2, run: () => result }, result };
}

const bad = finding("socket", {
  state: "failed",
  details: ["one", "two\x1b[31m\nthree"],
  fix: "a\nb",
});

Deno.test("findingText() aligns the details, and the fix below them", () => {
  assert.equal(
    findingText(bad, false),
    "socket            failed   one\n" +
      `${" ".repeat(27)}two [31m three\n` +
      `${" ".repeat(27)}→ a b\n`,
  );
  assert.equal(
    findingText(finding("api", { state: "skipped", details: ["off"], fix: null }), false),
    "api               skipped  off\n",
  );
});

Deno.test("findingText() colours the state, and nothing else", () => {
  const [first, ...others] = findingText(bad, true).split("\n");
  assert.equal(first, "socket            \x1b[31mfailed   \x1b[0mone");
  assert.ok(!others.join("").includes("\x1b"));
});

Deno.test("doctorJson() has a fix where something is wrong", () => {
  const good = finding("clock", { state: "ok", details: ["it is late", "very"], fix: null });
  assert.deepEqual(doctorJson([good, bad], 2), {
    status: "CRITICAL",
    exit_code: 2,
    checks: [
      { name: "clock", state: "ok", details: "it is late; very" },
      { name: "socket", state: "failed", details: "one; two [31m three", fix: "a b" },
    ],
  });
});

/** What `explain` reads; `path` is the ini file that `--config` names. */
interface Host {
  flags?: Partial<Record<KeyName, string>>;
  variables?: Record<string, string>;
  ini?: string | null | (() => string | null);
  isServiceActive?: boolean;
  path?: string | null;
}

/** Explains what is set by flags, variables and the ini file. */
function explain({ flags = {}, variables = {}, ini = null, path = null, ...more }: Host) {
  return explainConfiguration(new Map(Object.entries(flags) as [KeyName, string][]), path, {
    variable: (name) => variables[name],
    readFile: () => typeof ini === "function" ? ini() : ini,
    exists: (path) => path === "/etc/decnet/decnet.ini" && ini !== null,
    isRoot: true,
    ...more,
  });
}

Deno.test("explainConfiguration() lists what is set, and by what", () => {
  const { settings, problems, configuration } = explain({
    flags: { "interval": "10s" },
    variables: { DECNET_STATE_DIR: "/state", DOCKER_HOST: "unix:///d.sock" },
    ini: section("interval = 20s", "agent-dir = /certs"),
  });
  assert.deepEqual(problems, []);
  assert.deepEqual(Object.fromEntries(settings.map(({ key, text }) => [key, text])), {
    "interval": "10s (--interval)",
    "state-dir": "/state ($DECNET_STATE_DIR)",
    "docker-host": "unix:///d.sock ($DOCKER_HOST)",
    "agent-dir": "/certs (/etc/decnet/decnet.ini line 3)",
  });
  assert.equal(configuration.intervalMs, 10_000);
  assert.deepEqual(configuration.agent.sockets, ["/d.sock"]);
});

Deno.test("explainConfiguration() replaces wrong values, and lists them all", () => {
  const { configuration, problems } = explain({
    flags: { "swarmctl-port": "0" },
    variables: { DECNET_INTERVAL: "soon", DOCKER_HOST: "tcp://1.2.3.4" },
    ini: section("master-host = m", "host-uuid = h", "nonsense = 1"),
  });
  assert.equal(configuration.intervalMs, 30_000);
  assert.equal(configuration.agent.master?.port, 8770);
  assert.equal(configuration.agent.sockets[0], "/var/run/docker.sock");
  assert.deepEqual(
    problems.map(({ text, fix, isWarning }) => [text.split(" ")[0], fix, isWarning]),
    [
      ["swarmctl-port:", "start the agent without --swarmctl-port; the default is 8770", false],
      ["docker-host:", "remove the variable: unset DOCKER_HOST", false],
      ["interval:", "remove the variable: unset DECNET_INTERVAL", false],
      ["/etc/decnet/decnet.ini", "correct the line: vi +4 /etc/decnet/decnet.ini", true],
    ],
  );
});

Deno.test("explainConfiguration() names the services file that is wrong", () => {
  // Each file has this text, the services file too.
  const { configuration, problems } = explain({ flags: { services: "/s.json" }, ini: section() });
  assert.equal(configuration.agent.planOptions.services, builtInServices);
  assert.deepEqual(problems.map(({ fix }) => fix), ["correct the file: vi /s.json"]);
  const [wrong] = explain({ flags: { services: "\n" } }).problems;
  assert.equal(wrong!.fix, "start the agent without --services; the default is none");
});

Deno.test("explainConfiguration() goes on without a malformed ini file", () => {
  const { configuration, problems } = explain({
    flags: { "interval": "10s" },
    ini: "[agent]\nmaster-host = m\nhuh\n",
  });
  assert.equal(configuration.agent.master, null);
  assert.equal(configuration.intervalMs, 10_000);
  assert.equal(problems.length, 1);
  assert.equal(problems[0]!.fix, "correct the line: vi +3 /etc/decnet/decnet.ini");
});

Deno.test("ConfigReport.lineOf() repeats the right flags, quoted", () => {
  const flags = { "state-dir": "/a state", "interval": "1s", "docker-host": "unix:///d.sock" };
  const { lineOf } = explain({ flags, path: "my.ini", ini: "[agent]" });
  assert.equal(
    lineOf("apply", "--stored"),
    "decnet-agent apply --stored --config=my.ini '--state-dir=/a state' " +
      "--docker-host=unix:///d.sock",
  );
  assert.equal(explain({}).lineOf("state"), "decnet-agent state");
});

Deno.test("ConfigReport.placeOf() names what counts, and what reads a change", () => {
  const placeOf = (where: Parameters<typeof explain>[0]) => explain(where).placeOf("master-name");
  assert.equal(placeOf({ flags: { "master-name": "x" } }), "(set by --master-name)");
  assert.equal(placeOf({ variables: { DECNET_MASTER_NAME: "x" } }), "(set by $DECNET_MASTER_NAME)");
  const line = { ini: section("master_name = x") };
  assert.equal(placeOf(line), "(set in /etc/decnet/decnet.ini line 2)");
  assert.equal(
    placeOf({ ...line, isServiceActive: true }),
    "(set in /etc/decnet/decnet.ini line 2), then: systemctl reload decnet-agent",
  );
  const noFile = explain({ path: "/dev/null", ini: () => assert.fail("it was read") });
  assert.deepEqual(noFile.problems, []);
  assert.equal(noFile.placeOf("master-name"), "(with --master-name)");
  assert.equal(placeOf({}), "(in section [agent] of /etc/decnet/decnet.ini)");
});

Deno.test("ConfigReport says that listen comes from agent-port", () => {
  const { settings, configuration } = explain({ ini: section("agent-port = 9") });
  assert.deepEqual(configuration.listen?.host, "0.0.0.0");
  assert.deepEqual(settings, [
    { key: "listen", text: "0.0.0.0:9 (agent-port in /etc/decnet/decnet.ini line 2)" },
  ]);
  const [wrong] = explain({ ini: section("agent-port = x") }).problems;
  assert.equal(wrong!.fix, "correct the line: vi +2 /etc/decnet/decnet.ini");
});

/** Returns how to fix the one problem with a file named by `--config`. */
function fixOf(path: string, ini: Host["ini"] = null): string {
  const { problems } = explain({ path, ini });
  assert.equal(problems.length, 1);
  return problems[0]!.fix;
}

Deno.test("explainConfiguration() never prints over a file, and quotes its path", () => {
  const refuse = () => {
    throw new Error("it is not a regular file of at most 1 MiB");
  };
  const cases: [path: string, ini: Host["ini"], fix: string][] = [
    ["my.ini", "[agnet]\nmaster-host = m\n", "add the section [agent]: vi +1 my.ini"],
    ["my.ini", "", "add the section [agent]: vi +1 my.ini"],
    ["my agent.ini", "[agent]\nhuh\n", "correct the line: vi +2 'my agent.ini'"],
    ["/tmp", refuse, "start the agent without --config; the default is /etc/decnet/decnet.ini"],
  ];
  for (const [path, ini, fix] of cases) assert.equal(fixOf(path, ini), fix);
});

Deno.test("explainConfiguration() has an absent file made with its folder", async () => {
  using folder = new TemporaryFolder();
  const path = `${folder.path}/new folder/agent.ini`;
  const [, command = ""] = fixOf(path).split("create it: ");
  const echo = command.replace("decnet-agent print config", "echo printed");
  const { success } = await new Deno.Command("sh", { args: ["-c", echo] }).output();
  assert.ok(success, command);
  assert.equal(await Deno.readTextFile(path), "printed\n");
});

Deno.test("explainConfiguration() restarts a service for a state-dir", () => {
  const { problems } = explain({
    flags: { interval: "1s" },
    ini: section(`state-dir = ${"a".repeat(5000)}`, "listen = here"),
    isServiceActive: true,
  });
  assert.deepEqual(problems.map(({ fix }) => fix).sort(), [
    "correct the line: vi +2 /etc/decnet/decnet.ini && systemctl restart decnet-agent",
    "correct the line: vi +3 /etc/decnet/decnet.ini && systemctl reload decnet-agent",
    "start the agent without --interval; the default is 30s",
  ]);
});
