import { listenToEvents } from "../../docker/events.ts";
import { observe } from "../../docker/observe.ts";
import { AgentSetup, until, WatchedLoop } from "../support/agent_setup.ts";
import { eventually, TemporaryFolder } from "../support/environment.ts";
import { requirement } from "../support/requirements.ts";
import { hasPodman, OwnPodman } from "./own_podman.ts";
import { Playground } from "./playground.ts";
import { dockerSocket, needsDocker, needsPodman, podmanSocket } from "./sockets.ts";

const docker = await needsDocker();
const podman = await needsPodman();
const ownPodman = requirement("podman", await hasPodman());

/** Listens to an engine, and waits for what changes what is seen. */
class Ears implements AsyncDisposable {
  hints = 0;
  readonly #playground: Playground;
  readonly #stop = new AbortController();
  readonly #listening: Promise<unknown>;

  private constructor(playground: Playground, onOpen: () => void) {
    this.#playground = playground;
    this.#listening = listenToEvents(this.#stop.signal, {
      ...this.#prefixes,
      socket: playground.socketPath,
      onOpen,
      onChange: () => this.hints++,
    }).catch(() => {});
  }

  static async open(playground: Playground): Promise<Ears> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const ears = new Ears(playground, resolve);
    await promise;
    return ears;
  }

  /** Does something to the engine; then there was a hint, and what is seen is another thing. */
  async hears(what: string, act: () => Promise<unknown>): Promise<void> {
    const [hints, seen] = [this.hints, await this.#see()];
    await act();
    await eventually(`an event: ${what}`, () => Promise.resolve(this.hints > hints || undefined));
    await eventually(`a change: ${what}`, async () => await this.#see() !== seen || undefined);
  }

  async #see(): Promise<string> {
    const bounds = { callTimeoutMs: 30_000, timeoutMs: 60_000 };
    const { socketPath: socket } = this.#playground;
    const { bridges, inventory } = await observe(new AbortController().signal, {
      ...{ socket, ...this.#prefixes, ...bounds },
    });
    const { networks, containers } = inventory;
    return JSON.stringify(
      [bridges, networks, containers.map(({ uptime: _, ...it }) => it)],
      (_, it) => {
        return it instanceof Map ? [...it] : it;
      },
    );
  }

  get #prefixes() {
    const prefixes = [`ours-${this.#playground.tag}`];
    return { networkPrefixes: prefixes, containerPrefixes: prefixes };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#listening;
  }
}

/** What an operator may do to our containers, step by step. */
async function actOnContainers(playground: Playground, ears: Ears): Promise<void> {
  const { tag, docker } = playground;
  const [lan, other] = [`ours-${tag}-lan`, `other-${tag}`];
  const web = `ours-${tag}-web`;
  await playground.makeNetwork(other, { subnet: playground.subnet(2) });
  const addresses = new Map([[lan, playground.address(1, 7)]]);
  let id = "";
  await ears.hears("run", async () => id = await playground.makeContainer(web, { addresses }));
  const container = docker.getContainer(id);
  await ears.hears("pause", () => container.pause());
  await ears.hears("unpause", () => container.unpause());
  await ears.hears("disconnect", () => playground.disconnect(lan, web));
  await ears.hears("connect to a network of others", () => {
    return playground.connect(other, web, playground.address(2, 7));
  });
  await ears.hears("kill", () => container.kill());
  await ears.hears("start", () => container.start());
  await ears.hears("rename away", () => container.rename({ name: `away-${tag}` }));
  await ears.hears("rename back", () => container.rename({ name: web }));
  await ears.hears("remove", () => playground.remove(web));
  const labels = { "decnet.topology.id": tag };
  const labelled = `labelled-${tag}`;
  await ears.hears("run of a labelled one", () => playground.makeContainer(labelled, { labels }));
  await ears.hears("kill of a labelled one", () => docker.getContainer(labelled).kill());
  await ears.hears("remove of a labelled one", () => playground.remove(labelled));
}

Deno.test({
  name: `listenToEvents() hears each change of ours in a real engine${docker.suffix}`,
  ignore: docker.ignore,
  async fn() {
    docker.check();
    await using playground = await Playground.open(dockerSocket);
    await using ears = await Ears.open(playground);
    const lan = `ours-${playground.tag}-lan`;
    const subnet = playground.subnet(1);
    await ears.hears("create", () => playground.makeNetwork(lan, { subnet }));
    await actOnContainers(playground, ears);
    const web = `ours-${playground.tag}-sick`;
    await playground.makeContainer(web, { failsHealthCheck: true });
    await ears.hears("failing health", () => Promise.resolve());
    await playground.remove(web);
    await ears.hears("remove", () => playground.docker.getNetwork(lan).remove());
    const labels = { "decnet.topology.id": playground.tag };
    const labelled = `labelled-${playground.tag}`;
    await ears.hears("create, labelled", () => playground.makeNetwork(labelled, { labels }));
    await ears.hears("remove, labelled", () => playground.docker.getNetwork(labelled).remove());
  },
});

Deno.test({
  name: `listenToEvents() hears each change of our containers in Podman${podman.suffix}`,
  ignore: podman.ignore,
  async fn() {
    podman.check();
    await using playground = await Playground.open(podmanSocket);
    // Of a network that is made or removed, Podman tells nobody.
    const lan = `ours-${playground.tag}-lan`;
    await playground.makeNetwork(lan, { subnet: playground.subnet(1) });
    await using ears = await Ears.open(playground);
    await actOnContainers(playground, ears);
  },
});

Deno.test({
  name: `the loop tells a kill in a real engine before its interval${docker.suffix}`,
  ignore: docker.ignore,
  async fn() {
    docker.check();
    await using playground = await Playground.open(dockerSocket);
    await using setup = await AgentSetup.create();
    const web = `decnet-${playground.tag}-web`;
    await playground.makeContainer(web);
    await using loop = new WatchedLoop(setup, { sockets: [dockerSocket] });
    await until(() => loop.told?.includes(web) ?? false);
    await playground.kill(web);
    await until(() => Array.isArray(loop.told) && !loop.told.includes(web));
  },
});

Deno.test({
  name:
    `the loop listens to Podman again after its service was stopped, or frozen${ownPodman.suffix}`,
  ignore: ownPodman.ignore,
  async fn() {
    ownPodman.check();
    using folder = new TemporaryFolder();
    await using service = new OwnPodman(folder.path);
    await service.run();
    await using setup = await AgentSetup.create();
    await using loop = new WatchedLoop(setup, {
      sockets: [service.socketPath],
      intervalMs: 1_000,
    });
    await until(() => Array.isArray(loop.told));
    await service.end("SIGTERM");
    await until(() => typeof loop.told === "string");
    await service.run();
    await until(() => Array.isArray(loop.told));
    service.freeze();
    await until(() => typeof loop.told === "string");
    await service.run();
    await until(() => Array.isArray(loop.told));
  },
});
