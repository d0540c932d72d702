import assert from "node:assert/strict";
import { standInOptions } from "../support/topology.ts";
import { Agent } from "../../agent/heartbeat.ts";
import { type Observation, observe } from "../../docker/observe.ts";
import { runOn } from "../support/command_line.ts";
import { TemporaryFolder, until } from "../support/environment.ts";
import { docker, OwnPodman, ownPodman, podman } from "./engines.ts";
import { DockerSandbox, testInSandbox } from "./sandbox.ts";

const label = "decnet.topology.id";

/** Observes by a prefix of the sandbox's own. */
function observeOurs(sandbox: DockerSandbox): Promise<Observation> {
  const prefixes = [`ours-${sandbox.tag}`];
  return sandbox.observe({ networkPrefixes: prefixes, containerPrefixes: prefixes });
}

function byName<T extends { readonly name: string }>(items: Iterable<T>): T[] {
  return [...items].sort((a, b) => a.name < b.name ? -1 : 1);
}

for (const engine of [docker, podman]) {
  testInSandbox(
    engine,
    `D17 observe() agrees with dockerode on networks of ${engine.name}`,
    async (sandbox) => {
      const { tag } = sandbox;
      await sandbox.makeNetwork(`ours-${tag}-dmz`, { subnet: sandbox.subnet(1) });
      await sandbox.makeNetwork(`ours-${tag}-lan`, {
        subnet: sandbox.subnet(2),
        internal: true,
        labels: { [label]: tag, empty: "" },
      });
      await sandbox.makeNetwork(`another-${tag}`, {
        subnet: sandbox.subnet(3),
        labels: { [label]: tag },
      });
      await sandbox.makeNetwork(`foreign-ours-${tag}`, { subnet: sandbox.subnet(4) });

      const { bridges, inventory, engine: { version, apiVersion } } = await observeOurs(sandbox);
      const { Version, ApiVersion } = await sandbox.docker.version();
      assert.deepEqual([version, apiVersion], [Version, ApiVersion]);
      assert.deepEqual(bridges, [`another-${tag}`, `ours-${tag}-dmz`, `ours-${tag}-lan`]);
      const listed = (await sandbox.networks())
        .filter(({ Name, Labels }) => Name.startsWith("ours-") || Labels && label in Labels);
      assert.equal(listed.length, 3);
      assert.deepEqual(
        byName(inventory.networks),
        byName(listed.map((item) => ({
          id: item.Id,
          name: item.Name,
          driver: item.Driver,
          internal: item.Internal,
          subnets: (item.IPAM.Config ?? []).map(({ Subnet }) => Subnet),
          labels: new Map(Object.entries(item.Labels ?? {})),
        }))),
      );
      const lan = inventory.networks.find(({ name }) => name.endsWith("lan"));
      assert.deepEqual([lan?.internal, lan?.subnets], [true, [sandbox.subnet(2)]]);
    },
  );

  testInSandbox(
    engine,
    `D17 observe() agrees with dockerode on containers of ${engine.name}`,
    async (sandbox) => {
      const { tag } = sandbox;
      const lan = `ours-${tag}-lan`;
      await sandbox.makeNetwork(lan, { subnet: sandbox.subnet(1), internal: true });
      const addresses = new Map([[lan, sandbox.address(1, 7)]]);
      await sandbox.makeContainer(`ours-${tag}-running`, { addresses });
      await sandbox.makeContainer(`ours-${tag}-created`, { isStarted: false });
      await sandbox.makeContainer(`ours-${tag}-exited`);
      await sandbox.kill(`ours-${tag}-exited`);
      await sandbox.makeContainer(`ours-${tag}-paused`);
      await sandbox.docker.getContainer(`ours-${tag}-paused`).pause();
      await sandbox.makeContainer(`another-${tag}`, { labels: { [label]: tag } });
      await sandbox.makeContainer(`foreign-ours-${tag}`);
      await sandbox.makeContainer(`ours-${tag}-sharing`, { base: `ours-${tag}-running` });

      const { containers, inventory } = await observeOurs(sandbox);
      assert.deepEqual(containers, [
        `another-${tag}`,
        `ours-${tag}-paused`,
        `ours-${tag}-running`,
        `ours-${tag}-sharing`,
      ]);
      const listed = (await sandbox.containers())
        .filter(({ Names: [name], Labels }) =>
          name!.startsWith("/ours-") || Labels && label in Labels
        );
      assert.equal(listed.length, 6);
      assert.deepEqual(
        byName(inventory.containers.map((it) => ({ ...it, uptime: it.uptime !== null }))),
        byName(listed.map((item) => ({
          id: item.Id,
          name: item.Names[0]!.slice(1),
          state: item.State,
          unhealthy: false,
          uptime: item.State === "running" || item.State === "paused",
          labels: new Map(Object.entries(item.Labels ?? {})),
          image: item.Image,
          imageId: item.ImageID,
          networkMode: item.HostConfig?.NetworkMode ?? "",
          publishedPorts: [],
          addressByNetwork: new Map(
            Object.entries(item.NetworkSettings.Networks ?? {}).map((
              [name, { IPAddress }],
            ) => [name, IPAddress]),
          ),
        }))),
      );
    },
  );
}

testInSandbox(
  docker,
  "observe() counts only networks of the driver bridge",
  async ({ socketPath: socket }) => {
    const { bridges, inventory } = await observe(new AbortController().signal, {
      socket,
      networkPrefixes: ["bridge", "host", "none"],
      containerPrefixes: [],
    });
    const drivers = new Map(inventory.networks.map(({ name, driver }) => [name, driver]));
    assert.deepEqual([drivers.get("host"), drivers.get("none")], ["host", "null"]);
    assert.ok(bridges.includes("bridge") && !bridges.includes("host") && !bridges.includes("none"));
  },
);

testInSandbox(docker, "observe() sees a health check fail, and a restart loop", async (sandbox) => {
  const [ill, loop] = ["ill", "loop"].map((name) => `ours-${sandbox.tag}-${name}`) as [
    string,
    string,
  ];
  await sandbox.makeContainer(ill, { failsHealthCheck: true });
  await sandbox.makeContainer(loop, { command: "/exit", restarts: true });
  const found = async () => {
    const { inventory } = await observeOurs(sandbox);
    return byName(inventory.containers).map(({ state, unhealthy }) => `${state} ${unhealthy}`);
  };
  await until(async () => String(await found()) === "running true,restarting false");
});

/** What is done to the service, and the error that follows; null when there is none. */
type Step = [act: (service: OwnPodman) => unknown, error: string | null];

const steps: Step[] = [
  [(service) => service.freeze(), "no answer within 5 s; if this continues, restart the engine"],
  [(service) => service.run(), null],
  [(service) => service.end("SIGKILL"), "connection refused; start the engine"],
  [(service) => service.run(), null],
  [
    (service) => service.end("SIGTERM"),
    "no such file; is the engine installed and running?",
  ],
  [(service) => service.run(), null],
];

ownPodman.test("D17 heartbeat and --once report a Podman that fails and returns", async () => {
  using folder = new TemporaryFolder();
  await using service = new OwnPodman(folder.path);
  await service.run();
  await using sandbox = await DockerSandbox.open(service.socketPath);
  const name = `ours-${sandbox.tag}`;
  await sandbox.makeContainer(name);
  const agent = new Agent({
    agentVersion: "1.2.3",
    hostUuid: null,
    master: null,
    agentDirectory: folder.path,
    storePath: `${folder.path}/topology.db`,
    sockets: [service.socketPath],
    networkPrefixes: [name],
    containerPrefixes: [name],
    planOptions: standInOptions,
  });
  const flags = [
    ...[`--docker-host=unix://${service.socketPath}`, `--state-dir=${folder.path}`],
    ...[`--agent-dir=${folder.path}`, `--container-prefix=${name}`, `--network-prefix=${name}`],
  ];
  try {
    for (const [act, error] of steps) {
      await act(service);
      const [heartbeat, once] = await Promise.all([
        agent.sendHeartbeat(new AbortController().signal),
        runOn(["--once", ...flags]),
      ]);
      const { observed } = heartbeat.body.topology!;
      if (error === null) {
        // Other tests may have labelled what they run.
        assert.ok("containers" in observed && observed.containers.includes(name));
        assert.equal(once.code, 1);
        assert.match(once.stdout, /^DECNET WARNING - unexpected .*\| networks=\d+ containers=/);
      } else {
        const message = `Cannot observe Docker at ${service.socketPath}: ${error}`;
        assert.deepEqual(observed, { error: message });
        assert.deepEqual([once.code, once.stdout], [2, `DECNET CRITICAL - ${message}\n`]);
      }
    }
  } finally {
    agent.close();
    // The sandbox is removed through it.
    await service.run();
  }
});

/** Returns the names of the sandbox's containers that the agent manages. */
async function listOurs(
  sandbox: DockerSandbox,
  containerPrefixes: readonly string[],
): Promise<string[]> {
  const { inventory } = await sandbox.observe({ networkPrefixes: [], containerPrefixes });
  return inventory.containers.map(({ name }) => name).sort();
}

for (const engine of [docker, podman]) {
  testInSandbox(
    engine,
    `${engine.name}'s filters let through exactly what is ours`,
    async (sandbox) => {
      const { tag } = sandbox;
      const make = (name: string, labels: Record<string, string> = {}) => {
        return sandbox.makeContainer(name, { isStarted: false, labels });
      };
      const ours = [`q.${tag}`, `q.${tag}-web`, `r-${tag}`];
      const foreign = ["qx@", "xq.@", "x-r-@", "Q.@", "R-@", "x_@_q."]
        .map((it) => it.replace("@", tag));
      for (const name of [...ours, ...foreign]) await make(name);
      await make(`by-label-${tag}`, { [label]: tag });
      await make(`q.${tag}-both`, { [label]: tag });
      await make(`by-empty-label-${tag}`, { [label]: "" });
      const others = { [`${label}s`]: tag, x: label, "decnet.topology": "id" };
      await make(`other-label-${tag}`, others);
      await sandbox.makeContainer(`q.${tag}-runs`);
      if (engine === docker) {
        // A legacy link gives what is linked a second name, /LINKING/ALIAS.
        await sandbox.docker.createContainer({
          name: `q.${tag}-links`,
          Image: `decnet-agent-test-${tag}:1`,
          HostConfig: { NetworkMode: "default", Links: [`x-r-${tag}:alias`, `r-${tag}:alias2`] },
        });
      }
      const labelled = [`by-empty-label-${tag}`, `by-label-${tag}`, `q.${tag}-both`];
      const more = [`q.${tag}-runs`, ...(engine === docker ? [`q.${tag}-links`] : [])];
      const prefixes = [`q.${tag}`, "r-"];
      assert.deepEqual(await listOurs(sandbox, prefixes), [...ours, ...labelled, ...more].sort());
      assert.deepEqual(await listOurs(sandbox, []), labelled);
    },
  );
}
