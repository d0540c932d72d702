import assert from "node:assert/strict";
import { configureOn, section } from "../tests/machine.ts";
import { configure } from "./configuration.ts";
import type { Surroundings } from "./sources.ts";

Deno.test("configure() reads the section of the ini file as the first agent did", () => {
  const ini =
    "\ufeff# ours\r\n[other]\r\ninterval = nonsense\r\n[Agent] ; this\r\nINTERVAL: 7s\r\n" +
    "state-dir =\r\n; host-uuid = x\r\nHost_UUID = b\r\n";
  const { agent, intervalMs, warnings } = configureOn({ ini });
  assert.equal(intervalMs, 7_000);
  assert.equal(agent.storePath, "/var/lib/decnet-agent/topology.db");
  assert.equal(agent.hostUuid, "b");
  assert.deepEqual(warnings, []);
});

Deno.test("configure() warns of an unknown key in the ini file, and goes on", () => {
  const { intervalMs, warnings } = configureOn({
    config: "/my.ini",
    ini: section("Master_Hosts = m", "interval = 7s", "constructor = x", "once ="),
  });
  assert.equal(intervalMs, 7_000);
  assert.deepEqual(warnings, [
    "/my.ini line 2: unknown key 'master-hosts' is ignored",
    "/my.ini line 4: unknown key 'constructor' is ignored",
    "/my.ini line 5: unknown key 'once' is ignored",
  ]);
});

Deno.test("configure() refuses a malformed ini file and names the line", () => {
  const cases: [ini: string, problem: string][] = [
    [section("interval = 7s", "nonsense"), 'line 3 is neither "key = value" nor a comment'],
    [section("host-uuid = a", "host_uuid = a"), "line 3 sets 'host-uuid' for the second time"],
    ["interval = 7s", "line 1 is neither a [section] nor in one"],
  ];
  for (const [ini, problem] of cases) {
    assert.throws(() => configureOn({ ini }), {
      name: "UsageError",
      message: `Cannot read /etc/decnet/decnet.ini: ${problem}`,
    });
  }
});

Deno.test("configure() wants the ini file that --config names, and not the other", () => {
  assert.equal(configureOn({ config: "/my.ini", ini: section("interval = 9s") }).intervalMs, 9_000);
  assert.throws(() => configureOn({ config: "/my.ini", ini: null }), {
    name: "UsageError",
    message: "Cannot read /my.ini: no such file",
  });
  assert.equal(configureOn({ ini: null }).intervalMs, 30_000);
});

Deno.test("configure() wants a section in the ini file that --config names, and not in the other", () => {
  for (const ini of ["", "[agents]\ninterval = 9s", "# [agent]\n# interval = 9s"]) {
    assert.throws(() => configureOn({ config: "/my.ini", ini }), {
      name: "UsageError",
      message: "Cannot read /my.ini: no section [agent] in it",
    });
    assert.deepEqual(configureOn({ ini }), configureOn({}));
  }
  assert.equal(configureOn({ config: "/my.ini", ini: "[AGENT]" }).intervalMs, 30_000);
});

Deno.test("configure() refuses an ini file that cannot be read", () => {
  const surroundings: Surroundings = {
    variable: () => undefined,
    readFile: () => {
      throw new Deno.errors.PermissionDenied("permission denied");
    },
    exists: () => false,
    isRoot: false,
  };
  assert.throws(() => configure(new Map(), null, surroundings), {
    name: "UsageError",
    message: "Cannot read /etc/decnet/decnet.ini: permission denied; let the agent's user read it",
  });
});
