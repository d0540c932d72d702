import assert from "node:assert/strict";
import { configureOn, type Machine, section } from "../tests/machine.ts";
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
      images: {
        base: "debian:bookworm-slim",
        service: "decnet/{service}:latest",
        byService: new Map(),
      },
    },
    intervalMs: 30_000,
    supersede: false,
    listen: null,
    textfile: null,
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
      { variables: { HOME, XDG_STATE_HOME: "x" }, isRoot: false },
      "/home/a/.local/state/decnet-agent",
    ],
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
    [{ variables: { XDG_RUNTIME_DIR: "run" } }, [
      "/var/run/docker.sock",
      "/run/podman/podman.sock",
    ]],
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
  const message = "host-uuid: required with master-host, but not set; " +
    "it is this host's id at the master";
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

Deno.test("configure() puts the images together, those of single services too", () => {
  const imagesWith = (flags: Record<string, string>) => configureOn({ flags }).agent.images;
  const [base, service] = ["debian:bookworm-slim", "decnet/{service}:latest"];
  assert.deepEqual(imagesWith({ "base-image": "b:1" }), {
    base: "b:1",
    service,
    byService: new Map(),
  });
  assert.deepEqual(imagesWith({ "service-image": "s/{service}" }), {
    base,
    service: "s/{service}",
    byService: new Map(),
  });
  assert.deepEqual(imagesWith({ "base-image": "b", "service-image": "s, ssh=x:2" }), {
    base: "b",
    service: "s",
    byService: new Map([["ssh", "x:2"]]),
  });
});

Deno.test("configure() lets only the master push where it listens, unless told otherwise", () => {
  const listenWith = (flags: Record<string, string>) => configureOn({ flags }).listen;
  const address = { host: "10.0.0.1", port: 8765 };
  assert.deepEqual(listenWith({ "listen": "10.0.0.1:8765" }), {
    ...address,
    allowedNames: ["decnet-master"],
  });
  assert.deepEqual(listenWith({ "listen": "10.0.0.1:8765", "allowed-cn": "a, b" }), {
    ...address,
    allowedNames: ["a", "b"],
  });
  assert.equal(listenWith({ "allowed-cn": "a" }), null);
});
