import assert from "node:assert/strict";
import { TemporaryFolder } from "../tests/temporary_folder.ts";
import { section } from "../tests/machine.ts";
import { explainConfiguration } from "./explanation.ts";
import type { KeyName } from "./keys.ts";

/** Explains what is set by flags, variables and the ini file. */
function explain(
  { flags = {}, variables = {}, ini = null }: {
    flags?: Partial<Record<KeyName, string>>;
    variables?: Record<string, string>;
    ini?: string | null;
  },
) {
  return explainConfiguration(new Map(Object.entries(flags) as [KeyName, string][]), null, {
    variable: (name) => variables[name],
    readFile: () => ini,
    exists: (path) => path === "/etc/decnet/decnet.ini" && ini !== null,
    isRoot: true,
  });
}

Deno.test("explainConfiguration() tells of each key that is set its value and what sets it", () => {
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

Deno.test("explainConfiguration() takes the default for what is wrong, and tells all that is", () => {
  const { configuration, problems } = explain({
    flags: { "swarmctl-port": "0" },
    variables: { DECNET_INTERVAL: "soon", DOCKER_HOST: "tcp://1.2.3.4" },
    ini: section("master-host = m", "host-uuid = h", "nonsense = 1"),
  });
  assert.equal(configuration.intervalMs, 30_000);
  assert.equal(configuration.agent.master?.port, 8770);
  assert.equal(configuration.agent.sockets[0], "/var/run/docker.sock");
  assert.deepEqual(
    problems.map(({ text, mend, isWarning }) => [text.split(" ")[0], mend, isWarning]),
    [
      ["swarmctl-port:", "start it without --swarmctl-port: the default is 8770", false],
      ["docker-host:", "unset DOCKER_HOST", false],
      ["interval:", "unset DECNET_INTERVAL", false],
      ["/etc/decnet/decnet.ini", "vi +4 /etc/decnet/decnet.ini", true],
    ],
  );
});

Deno.test("explainConfiguration() goes on without an ini file that it cannot understand", () => {
  const { configuration, problems } = explain({
    flags: { "interval": "10s" },
    ini: "[agent]\nmaster-host = m\nhuh\n",
  });
  assert.equal(configuration.agent.master, null);
  assert.equal(configuration.intervalMs, 10_000);
  assert.equal(problems.length, 1);
  assert.equal(problems[0]!.mend, "vi +3 /etc/decnet/decnet.ini");
});

Deno.test("lineOf() calls the agent with the flags that are right, as a shell takes them", () => {
  const flags = new Map<KeyName, string>([
    ["state-dir", "/a state"],
    ["interval", "1s"],
    ["docker-host", "unix:///d.sock"],
  ]);
  const { lineOf } = explainConfiguration(flags, "my.ini", {
    variable: () => undefined,
    readFile: () => "[agent]",
    exists: () => true,
    isRoot: true,
  });
  assert.equal(
    lineOf("apply", "--stored"),
    "decnet-agent apply --stored --config=my.ini '--state-dir=/a state' " +
      "--docker-host=unix:///d.sock",
  );
  assert.equal(explain({}).lineOf("state"), "decnet-agent state");
});

Deno.test("commandToSetAll() changes lines before it adds any, and has an active service read them", async () => {
  using folder = new TemporaryFolder();
  const path = `${folder.path}/agent.ini`;
  await Deno.writeTextFile(path, "# ours\n[agent]\nnetwork-prefix = x\n");
  const { commandToSetAll } = explainConfiguration(new Map(), path, {
    variable: () => undefined,
    readFile: Deno.readTextFileSync,
    exists: () => true,
    isRoot: true,
    isServiceActive: true,
  });
  const [command, notice] = commandToSetAll([
    ["container-prefix", "a_"],
    ["network-prefix", "b_"],
  ]).split(" && systemctl ");
  assert.equal(notice, "reload decnet-agent");
  const { success } = await new Deno.Command("sh", { args: ["-c", command!] }).output();
  assert.ok(success, command);
  const text = await Deno.readTextFile(path);
  assert.equal(text, "# ours\n[agent]\ncontainer-prefix = a_\nnetwork-prefix = b_\n");
});

Deno.test("commandToSet() changes what counts: the flag, the variable, the line, or the file", () => {
  const set = (where: Parameters<typeof explain>[0]) =>
    explain(where).commandToSet("master-name", "m.test");
  assert.equal(set({ flags: { "master-name": "x" } }), "start it with --master-name=m.test");
  assert.equal(
    set({ variables: { DECNET_MASTER_NAME: "x" } }),
    "export DECNET_MASTER_NAME=m.test",
  );
  assert.equal(
    set({ ini: section("master_name = x") }),
    "sed -i '2s|.*|master-name = m.test|' /etc/decnet/decnet.ini",
  );
  assert.equal(
    set({ ini: section("interval = 9s") }),
    "sed -i '/^\\[agent\\]/a master-name = m.test' /etc/decnet/decnet.ini",
  );
  assert.equal(
    set({}),
    "mkdir -p /etc/decnet && printf '[agent]\\nmaster-name = m.test\\n' > /etc/decnet/decnet.ini",
  );
});
