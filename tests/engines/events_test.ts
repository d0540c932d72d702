import { listenToEvents } from "../../docker/events.ts";
import { AgentSetup, WatchedLoop } from "../support/agent_setup.ts";
import { TemporaryFolder, until } from "../support/environment.ts";
import { docker, OwnPodman, ownPodman, podman } from "./engines.ts";
import { type DockerSandbox, testInSandbox } from "./sandbox.ts";

/** Listens to an engine, and waits for events and for the changes that they report. */
class ChangeListener implements AsyncDisposable {
  eventCount = 0;
  readonly #sandbox: DockerSandbox;
  readonly #stop = new AbortController();
  readonly #listening: Promise<unknown>;

  private constructor(sandbox: DockerSandbox, onOpen: () => void) {
    this.#sandbox = sandbox;
    this.#listening = listenToEvents(this.#stop.signal, {
      ...this.#prefixes,
      socket: sandbox.socketPath,
      onOpen,
      onChange: () => this.eventCount++,
    }).catch(() => {});
  }

  static async open(sandbox: DockerSandbox): Promise<ChangeListener> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const listener = new ChangeListener(sandbox, resolve);
    await promise;
    return listener;
  }

  /** Changes the engine; waits for an event and for another observation. */
  async expectEvent(what: string, act: () => Promise<unknown>): Promise<void> {
    const [eventCount, before] = [this.eventCount, await this.#observe()];
    await act();
    await until(() => this.eventCount > eventCount, { what: `an event: ${what}` });
    await until(async () => await this.#observe() !== before, { what: `a change: ${what}` });
  }

  async #observe(): Promise<string> {
    const { bridges, inventory } = await this.#sandbox.observe(this.#prefixes);
    const containers = inventory.containers.map(({ uptime: _, ...it }) => it);
    return JSON.stringify(
      [bridges, inventory.networks, containers],
      (_, it) => it instanceof Map ? [...it] : it,
    );
  }

  get #prefixes() {
    const prefixes = [`ours-${this.#sandbox.tag}`];
    return { networkPrefixes: prefixes, containerPrefixes: prefixes };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#listening;
  }
}

/** Does to our containers what an operator may do. */
async function actOnContainers(sandbox: DockerSandbox, listener: ChangeListener): Promise<void> {
  const { tag, docker } = sandbox;
  const [lan, other] = [`ours-${tag}-lan`, `other-${tag}`];
  const web = `ours-${tag}-web`;
  await sandbox.makeNetwork(other, { subnet: sandbox.subnet(2) });
  const addresses = new Map([[lan, sandbox.address(1, 7)]]);
  let id = "";
  await listener.expectEvent(
    "run",
    async () => id = await sandbox.makeContainer(web, { addresses }),
  );
  const container = docker.getContainer(id);
  await listener.expectEvent("pause", () => container.pause());
  await listener.expectEvent("unpause", () => container.unpause());
  await listener.expectEvent("disconnect", () => sandbox.disconnect(lan, web));
  await listener.expectEvent("connect to a network of others", () => {
    return sandbox.connect(other, web, sandbox.address(2, 7));
  });
  await listener.expectEvent("kill", () => container.kill());
  await listener.expectEvent("start", () => container.start());
  await listener.expectEvent("rename away", () => container.rename({ name: `away-${tag}` }));
  await listener.expectEvent("rename back", () => container.rename({ name: web }));
  await listener.expectEvent("remove", () => sandbox.remove(web));
  const labels = { "decnet.topology.id": tag };
  const labelled = `labelled-${tag}`;
  await listener.expectEvent(
    "run of a labelled one",
    () => sandbox.makeContainer(labelled, { labels }),
  );
  await listener.expectEvent("kill of a labelled one", () => docker.getContainer(labelled).kill());
  await listener.expectEvent("remove of a labelled one", () => sandbox.remove(labelled));
}

testInSandbox(docker, "listenToEvents() reports each change of ours in Docker", async (sandbox) => {
  await using listener = await ChangeListener.open(sandbox);
  const lan = `ours-${sandbox.tag}-lan`;
  const subnet = sandbox.subnet(1);
  await listener.expectEvent("create", () => sandbox.makeNetwork(lan, { subnet }));
  await actOnContainers(sandbox, listener);
  const web = `ours-${sandbox.tag}-sick`;
  await sandbox.makeContainer(web, { failsHealthCheck: true });
  await listener.expectEvent("failing health", () => Promise.resolve());
  await sandbox.remove(web);
  await listener.expectEvent("remove", () => sandbox.docker.getNetwork(lan).remove());
  const labels = { "decnet.topology.id": sandbox.tag };
  const labelled = `labelled-${sandbox.tag}`;
  await listener.expectEvent("create, labelled", () => sandbox.makeNetwork(labelled, { labels }));
  await listener.expectEvent(
    "remove, labelled",
    () => sandbox.docker.getNetwork(labelled).remove(),
  );
});

testInSandbox(
  podman,
  "listenToEvents() reports changes of containers in Podman",
  async (sandbox) => {
    // Podman sends no events of networks.
    const lan = `ours-${sandbox.tag}-lan`;
    await sandbox.makeNetwork(lan, { subnet: sandbox.subnet(1) });
    await using listener = await ChangeListener.open(sandbox);
    await actOnContainers(sandbox, listener);
  },
);

ownPodman.test("the loop listens again after Podman was stopped or frozen", async () => {
  using folder = new TemporaryFolder();
  await using service = new OwnPodman(folder.path);
  await service.run();
  await using setup = await AgentSetup.create();
  await using loop = new WatchedLoop(setup, {
    sockets: [service.socketPath],
    intervalMs: 1_000,
  });
  await until(() => Array.isArray(loop.observed));
  await service.end("SIGTERM");
  await until(() => typeof loop.observed === "string");
  await service.run();
  await until(() => Array.isArray(loop.observed));
  service.freeze();
  await until(() => typeof loop.observed === "string");
  await service.run();
  await until(() => Array.isArray(loop.observed));
});
