import assert from "node:assert/strict";
import { configureOn, type Machine, section } from "../tests/machine.ts";
import { configure, type Surroundings } from "./configuration.ts";
import { keys } from "./keys.ts";

Deno.test("configure() has a default for everything", () => {
  assert.deepEqual(configureOn({ variables: { HOME: "/root" } }), {
    agent: {
      hostUuid: null,
      master: null,
      agentDirectory: "/root/.decnet/agent",
      storePath: "/var/lib/decnet-agent/topology.db",
      sockets: ["/var/run/docker.sock", "/run/podman/podman.sock"],
      networkPrefixes: ["decnet-topology-", "decnet_t_"],
      containerPrefixes: ["decnet-", "decnet_t_"],
    },
    intervalMs: 30_000,
    warnings: [],
  });
});

Deno.test("configure() looks for the certificates in /etc, then below the home", () => {
  const existing = ["/etc/decnet/agent"];
  assert.equal(configureOn({ existing }).agent.agentDirectory, "/etc/decnet/agent");
  const { agent } = configureOn({ variables: { HOME: "/home/a" }, isRoot: false });
  assert.equal(agent.agentDirectory, "/home/a/.decnet/agent");
});

Deno.test("configure() finds a folder for the store", () => {
  const HOME = "/home/a";
  const cases: [machine: Machine, folder: string][] = [
    [{ variables: { STATE_DIRECTORY: "/run/state", HOME } }, "/run/state"],
    [{ variables: { STATE_DIRECTORY: "/run/one:/run/two" }, isRoot: false }, "/run/one"],
    [{ variables: { STATE_DIRECTORY: "", HOME } }, "/var/lib/decnet-agent"],
    [{ variables: { HOME, XDG_STATE_HOME: "/x" } }, "/var/lib/decnet-agent"],
    [
      { variables: { HOME }, isRoot: false, existing: ["/var/lib/decnet-agent"] },
      "/var/lib/decnet-agent",
    ],
    [{ variables: { HOME, XDG_STATE_HOME: "/x" }, isRoot: false }, "/x/decnet-agent"],
    [
      { variables: { HOME, XDG_STATE_HOME: "" }, isRoot: false },
      "/home/a/.local/state/decnet-agent",
    ],
    [{ flags: { "state-dir": "/given/" }, variables: { STATE_DIRECTORY: "/s" } }, "/given"],
  ];
  for (const [machine, folder] of cases) {
    assert.equal(configureOn(machine).agent.storePath, `${folder}/topology.db`);
  }
});

Deno.test("configure() lists the sockets that the engine may have", () => {
  const XDG_RUNTIME_DIR = "/run/user/7";
  const all = [
    "/var/run/docker.sock",
    "/run/user/7/docker.sock",
    "/run/podman/podman.sock",
    "/run/user/7/podman/podman.sock",
  ];
  const cases: [machine: Machine, sockets: string[]][] = [
    [{ variables: { XDG_RUNTIME_DIR } }, all],
    [{ variables: { XDG_RUNTIME_DIR, DOCKER_HOST: "" } }, all],
    [{ variables: { XDG_RUNTIME_DIR, DOCKER_HOST: "unix:///d" } }, ["/d"]],
    [{ variables: { DOCKER_HOST: "tcp://d" }, ini: section("docker-host = unix:///i") }, ["/i"]],
  ];
  for (const [machine, sockets] of cases) {
    assert.deepEqual(configureOn(machine).agent.sockets, sockets);
  }
});

Deno.test("configure() refuses an engine that is not on this host, wherever it is named", () => {
  const allowed = `must be ${keys["docker-host"].allowed}`;
  const cases: [machine: Machine, origin: string][] = [
    [{ variables: { DOCKER_HOST: "tcp://d:2375" } }, "$DOCKER_HOST"],
    [{ variables: { DECNET_DOCKER_HOST: "tcp://d:2375" } }, "$DECNET_DOCKER_HOST"],
    [{ flags: { "docker-host": "tcp://d:2375" } }, "--docker-host"],
  ];
  for (const [machine, origin] of cases) {
    assert.throws(() => configureOn(machine), {
      name: "UsageError",
      message: `docker-host: 'tcp://d:2375' (from ${origin}) ${allowed}`,
    });
  }
});

Deno.test("configure() fills in port and name of the master", () => {
  const { agent } = configureOn({ flags: { "master-host": "10.0.0.1", "host-uuid": "h" } });
  assert.deepEqual(agent.master, {
    host: "10.0.0.1",
    port: 8770,
    name: "10.0.0.1",
    fingerprint: null,
  });
});

Deno.test("configure() wants a host-uuid with a master, and only then", () => {
  const message = "host-uuid: required with master-host, but not set";
  assert.throws(() => configureOn({ flags: { "master-host": "m" } }), {
    name: "UsageError",
    message,
  });
  assert.equal(configureOn({ flags: { "host-uuid": "h" } }).agent.hostUuid, "h");
  assert.equal(
    configureOn({ flags: { "master-name": "m", "swarmctl-port": "1" } }).agent.master,
    null,
  );
});

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
    message: "Cannot read /etc/decnet/decnet.ini: permission denied",
  });
});
