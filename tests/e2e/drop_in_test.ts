import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import type { HeartbeatBody } from "../../agent/heartbeat.ts";
import { textOf } from "../support/apply_host.ts";
import { createAuthority, writeAgentDirectory } from "../support/certificates.ts";
import { Controller } from "../support/controller.ts";
import { EventListener } from "../support/engine_client.ts";
import { until } from "../support/environment.ts";
import { type Ended, execute, RunningAgent } from "../support/executable.ts";
import { IsolatedHost, isolation, run } from "../support/isolated_host.ts";
import { LogListener } from "../support/log_listener.ts";

const hostUuid = "6f1f6a3e-43a5-4ab1-9a3f-0c6b4f6a4f0e";
const first = { id: "11111111-2222-3333-4444-555555555555", text: textOf("topology-one-lan.json") };
const second = {
  id: "7c9e6679-7425-40de-944b-e07fc1f90ae7",
  text: textOf("topology-three-lans.json"),
};
const base = "decnet_t_11111111_decky-001";
const service = `${base}-ssh`;
const network = "decnet_t_11111111_lan-00";

/** The file as the master issues it, but for where that is. */
const issuedIni = (master: { address: string; port: number }) =>
  Deno.readTextFileSync(new URL("../data/issued.ini", import.meta.url))
    .replace(/^master-host = .*$/m, `master-host = ${master.address}`)
    .replace(/^swarmctl-port = .*$/m, `swarmctl-port = ${master.port}`);

/** What the issued file does not say, so that the test is short. */
const env = { DECNET_INTERVAL: "5s" };

/** The start of a network for examples that this machine is not on. */
function freeNetwork(): string {
  const taken = Deno.networkInterfaces().map(({ address }) => address);
  return ["203.0.113", "198.51.100", "192.0.2"].find((it) =>
    !taken.some((address) => address.startsWith(`${it}.`))
  )!;
}

/** A host with the files of an enrolment at their usual places, and its master beside it. */
class EnrolledHost implements AsyncDisposable {
  readonly #stack: AsyncDisposableStack;
  /** Runs a program where it sees those files, and nothing of this machine's. */
  readonly #wrapper: readonly string[];

  private constructor(
    readonly isolated: IsolatedHost,
    readonly controller: Controller,
    stack: AsyncDisposableStack,
  ) {
    this.#stack = stack;
    const { path } = isolated.folder;
    const commands = [
      `mount --bind ${path}/run /var/run`,
      "mount -t tmpfs none /var/lib && mkdir /var/lib/decnet-agent",
      `mount --bind ${path}/state /var/lib/decnet-agent`,
      "mount -t tmpfs none /etc && mkdir /etc/decnet",
      `mount --bind ${path}/etc /etc/decnet`,
      'exec "$0" "$@"',
    ];
    this.#wrapper = [...isolated.wrapper, "unshare", "--mount", "sh", "-c", commands.join(" && ")];
  }

  static async start(): Promise<EnrolledHost> {
    await using stack = new AsyncDisposableStack();
    const isolated = stack.use(
      await IsolatedHost.start(["debian:bookworm-slim", "decnet/ssh:latest"]),
    );
    const { path } = isolated.folder;
    // A link of its own between this machine and the host.
    const [subnet, number] = [freeNetwork(), 4 * Math.floor(64 * Math.random())];
    const [ours, theirs] = [`${subnet}.${number + 1}`, `${subnet}.${number + 2}`];
    const link = isolated.namespace.replace("decnet-h-", "decnet-");
    await run(`ip link add ${link} type veth peer name h0 netns ${isolated.namespace}`);
    await run(`ip address add ${ours}/30 dev ${link}`);
    await run(`ip link set ${link} up`);
    await isolated.ip(`address add ${theirs}/30 dev h0`);
    await isolated.ip("link set h0 up");

    const authority = await createAuthority("test authority");
    const worker = await authority.issue({ commonName: "host-1", ipAddresses: [theirs] });
    const certificate = worker.certificatePem;
    const host = { uuid: hostUuid, certificate, address: theirs, port: 8765 };
    const controller = stack.use(
      await Controller.start({ authority, host, address: ours, pushEveryMs: 500 }),
    );
    // The issued file has the port.
    stack.use(await LogListener.start({ authority, host: ours, port: 6514 }));
    for (const folder of ["state", "etc", "etc/agent"]) await Deno.mkdir(`${path}/${folder}`);
    await writeAgentDirectory(`${path}/etc/agent`, authority, worker);
    const ini = issuedIni({ address: ours, port: controller.master.port });
    await Deno.writeTextFile(`${path}/etc/decnet.ini`, ini);
    return new EnrolledHost(isolated, controller, stack.move());
  }

  /** Runs a command of the agent, without any flag. */
  agent(command: "--once" | "doctor"): Promise<Ended> {
    return execute([command], { wrapper: this.#wrapper, env });
  }

  /** Starts the agent. */
  startAgent(): RunningAgent {
    return new RunningAgent([], { wrapper: this.#wrapper, env });
  }

  get storePath(): string {
    return `${this.isolated.folder.path}/state/topology.db`;
  }

  /** The rows of the store; waits while the agent writes. */
  rows(): Record<string, unknown>[] {
    const database = new DatabaseSync(this.storePath, { readOnly: true });
    try {
      return database.prepare("SELECT * FROM applied_topology").all();
    } finally {
      database.close();
    }
  }

  /** Waits for a heartbeat, from now on, that says this of the topology. */
  async told(
    what: string,
    isTold: (topology: NonNullable<HeartbeatBody["topology"]>) => boolean,
  ): Promise<void> {
    const { master } = this.controller;
    let seen = master.heartbeats.length;
    await until(() =>
      master.heartbeats.slice(seen).some(({ body }) => {
        seen++;
        const { topology } = body as HeartbeatBody;
        return topology !== null && isTold(topology);
      }), { what });
  }

  /** What the engine has, with what changes when it is made or started again. */
  async made(): Promise<Record<string, string>> {
    const { docker } = this.isolated;
    const networks: { Name: string; Id: string }[] = await docker.listNetworks();
    const containers: { Id: string }[] = await docker.listContainers({ all: true });
    const started = containers.map(async ({ Id }) => {
      const { Name, State } = await docker.getContainer(Id).inspect();
      return [Name.slice(1), `${Id} ${State.StartedAt}`];
    });
    return Object.fromEntries([
      ...networks.filter(({ Name }) => Name.startsWith("decnet_")).map((it) => [it.Name, it.Id]),
      ...await Promise.all(started),
    ]);
  }

  /** Asserts that nothing of the topologies is touched in Docker meanwhile. */
  async untouched(run: () => Promise<unknown>): Promise<void> {
    const before = await this.made();
    await using listener = await EventListener.open(this.isolated.socket, "decnet_t_");
    await run();
    assert.deepEqual(await this.made(), before);
    assert.deepEqual(listener.heard, []);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stack[Symbol.asyncDispose]();
  }
}

isolation.test("decnet-agent takes the first agent's place on a host", async (t) => {
  await using host = await EnrolledHost.start();
  const { controller, isolated: { docker } } = host;
  const step = async (what: string, run: () => Promise<void>) =>
    assert.ok(await t.step(what, run), what);
  const lastCall = () => controller.calls.at(-1);
  const hashOfRow = () => host.rows()[0]?.applied_version_hash;
  const assertIdle = async () => {
    const { code, stdout, stderr } = await host.agent("--once");
    assert.equal(code, 0, stdout + stderr);
    assert.match(stdout, /^DECNET OK - idle, 0 networks and 0 containers run, heartbeat sent \|/);
    assert.equal(stderr, "");
  };

  await step("its files make a host in order", async () => {
    await assertIdle();
    const { code, stdout, stderr } = await host.agent("doctor");
    assert.equal(code, 0, stdout + stderr);
  });

  await using agent = host.startAgent();
  await agent.until(() => agent.stderr.includes("msg=listening"));

  await step("a topology is deployed, once", async () => {
    const told = host.told(
      "it",
      ({ topology_id: id, drift }) => id === first.id && drift.state === "consistent",
    );
    assert.equal(await controller.deploy(first.id, first.text), 200);
    assert.deepEqual(Object.keys(await host.made()).sort(), [base, service, network]);
    await told;
    assert.equal(controller.calls.length, 1);
  });

  let deployedHash: unknown;
  await step("drift is told; the push that ends it touches nothing else", async () => {
    deployedHash = hashOfRow();
    const before = await host.made();
    const told = host.told(
      "the drift",
      ({ drift }) => "stopped" in drift && drift.stopped.some(({ name }) => name === service),
    );
    await docker.getContainer(service).kill();
    await told;
    assert.equal(controller.calls.length, 1, "the hash is as expected");
    controller.flag(first.id);
    await host.told("the end of it", ({ drift }) => drift.state === "consistent");
    assert.equal(lastCall()?.status, 200);
    assert.notEqual(hashOfRow(), deployedHash);
    const { [service]: started, ...others } = await host.made();
    assert.notEqual(started, before[service]);
    assert.equal(started!.split(" ")[0], before[service]!.split(" ")[0]);
    assert.deepEqual({ [service]: before[service], ...others }, before);
  });

  await step("each push of the flagged topology touches nothing", async () => {
    const { length } = controller.calls;
    await host.untouched(() => until(() => controller.calls.length > length));
    assert.deepEqual([lastCall()?.path, lastCall()?.status], ["/topology/apply", 200]);
    // As after an edit: the hash is the expected one again.
    assert.equal(await controller.deploy(first.id, first.text), 200);
    assert.equal(hashOfRow(), deployedHash);
  });

  await step("a wiped store is told, and restored by a push alone", async () => {
    await host.untouched(async () => {
      const told = host.told("the loss", (it) => it.topology_id === null);
      await Deno.remove(host.storePath);
      await told;
      await host.told("the topology again", (it) => it.topology_id === first.id);
    });
    assert.equal(host.rows()[0]?.topology_id, first.id);
    assert.equal(await controller.deploy(first.id, first.text), 200);
  });

  await step("a second topology is refused, however often", async () => {
    const rows = host.rows();
    await host.untouched(async () => {
      assert.equal(await controller.deploy(second.id, second.text), 409);
      const refused = () => controller.calls.filter(({ status }) => status === 409).length;
      await until(() => refused() >= 4, { what: "pushes until it is taken" });
      assert.equal((await host.agent("--once")).code, 1);
      assert.equal(await controller.teardown(second.id), 200);
      const { code, stdout } = await host.agent("--once");
      assert.equal(code, 0, stdout);
    });
    assert.deepEqual(host.rows(), rows);
  });

  await step("a teardown removes everything", async () => {
    const told = host.told("that nothing is left", (it) => it.topology_id === null);
    assert.equal(await controller.teardown(first.id), 200);
    assert.deepEqual(await host.made(), {});
    assert.deepEqual(host.rows(), []);
    await told;
    await assertIdle();
  });

  await step("self-destruct removes the topology, and keeps the agent", async () => {
    const deployed = host.told("the topology", (it) => it.topology_id === first.id);
    assert.equal(await controller.deploy(first.id, first.text), 200);
    await deployed;
    const told = host.told("that nothing is left", (it) => it.topology_id === null);
    assert.equal(await controller.selfDestruct(), 200);
    await told;
    assert.deepEqual([host.rows(), await host.made()], [[], {}]);
    await assertIdle();
  });

  const { stderr } = await agent.stop();
  assert.doesNotMatch(stderr, /level=error/);
});
