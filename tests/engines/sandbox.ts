import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import Docker from "dockerode";
import { type Observation, observe, type Prefixes } from "../../docker/observe.ts";
import { until } from "../support/environment.ts";
import type { TestEngine } from "./engines.ts";
import { pausingImage } from "./pausing_image.ts";

/** An item of the engine's list of networks, as far as tests look at it. */
interface ListedNetwork {
  readonly Id: string;
  readonly Name: string;
  readonly Driver: string;
  readonly Internal: boolean;
  readonly Labels: Readonly<Record<string, string>> | null;
  readonly IPAM: { readonly Config: readonly { readonly Subnet: string }[] | null };
}

/** An item of the engine's list of containers, as far as tests look at it. */
interface ListedContainer {
  readonly Id: string;
  readonly Names: readonly string[];
  readonly State: string;
  readonly Status: string;
  readonly Labels: Readonly<Record<string, string>> | null;
  readonly Image: string;
  readonly ImageID: string;
  readonly HostConfig?: { readonly NetworkMode?: string };
  readonly NetworkSettings: {
    /** Podman lists null for a container without networks. */
    readonly Networks: Readonly<Record<string, { readonly IPAddress: string }>> | null;
  };
}

/** A network to make. */
interface NetworkOptions {
  readonly subnet?: string;
  readonly internal?: boolean;
  readonly labels?: Readonly<Record<string, string>>;
}

/** A container to make. */
export interface ContainerOptions {
  /** A program of the image, and its arguments; `/pause` by default. */
  readonly command?: string | readonly string[];
  /** Whether it has a standard input. */
  readonly hasInput?: boolean;
  /** The size at which Docker rotates its log, such as `100k`; it keeps five files. */
  readonly logSize?: string;
  readonly labels?: Readonly<Record<string, string>>;
  /** Network name → IPv4 address there. */
  readonly addresses?: ReadonlyMap<string, string>;
  /** The container whose network it shares. */
  readonly base?: string;
  /** Whether its health is checked, by a command that does not exist. */
  readonly failsHealthCheck?: boolean;
  /** The engine starts it again whenever it exits. */
  readonly restarts?: boolean;
  readonly isStarted?: boolean;
  /** Instead of the sandbox's own. */
  readonly image?: string;
  /** Where it has an anonymous volume. */
  readonly volume?: string;
}

/** Makes networks and containers in a real engine, and removes them in the end. */
export class DockerSandbox implements AsyncDisposable {
  /** Part of the name of everything that belongs here. */
  readonly tag = crypto.randomUUID().slice(0, 8);
  readonly docker: InstanceType<typeof Docker>;
  #image = "";
  readonly #images: string[] = [];
  #octet = 0;

  private constructor(readonly socketPath: string) {
    this.docker = new Docker({ socketPath });
  }

  /** Opens a sandbox in the engine at `socketPath`. */
  static async open(socketPath: string): Promise<DockerSandbox> {
    const sandbox = new DockerSandbox(socketPath);
    await sandbox.#chooseSubnets();
    sandbox.#image = await sandbox.importImage(`decnet-agent-test-${sandbox.tag}:1`);
    return sandbox;
  }

  /** A subnet that is free, number 0 to 255. */
  subnet(number: number): string {
    return `10.${this.#octet}.${number}.0/24`;
  }

  /** The address of a host, 2 to 254, in `subnet(number)`. */
  address(number: number, host: number): string {
    return `10.${this.#octet}.${number}.${host}`;
  }

  async makeNetwork(name: string, options: NetworkOptions = {}): Promise<void> {
    await this.docker.createNetwork({
      Name: this.#own(name),
      Driver: "bridge",
      Internal: options.internal ?? false,
      Labels: options.labels ?? {},
      ...(options.subnet === undefined ? {} : { IPAM: { Config: [{ Subnet: options.subnet }] } }),
    });
  }

  /** Makes a container; returns its id. */
  async makeContainer(name: string, options: ContainerOptions = {}): Promise<string> {
    const [first, ...more] = options.addresses ?? [];
    const endpoint = (address: string) => ({ IPAMConfig: { IPv4Address: address } });
    const second = 1_000_000_000; // in nanoseconds
    const container = await this.docker.createContainer({
      name: this.#own(name),
      Image: options.image ?? this.#image,
      Cmd: [options.command ?? "/pause"].flat(),
      OpenStdin: options.hasInput ?? false,
      ...(options.volume ? { Volumes: { [options.volume]: {} } } : {}),
      Labels: options.labels ?? {},
      HostConfig: {
        ...(options.logSize && {
          LogConfig: {
            Type: "json-file",
            Config: { "max-size": options.logSize, "max-file": "5" },
          },
        }),
        NetworkMode: options.base ? `container:${options.base}` : first?.[0] ?? "none",
        RestartPolicy: { Name: options.restarts ? "always" : "no" },
        // Podman's own limits are more than it may set on some machines.
        Ulimits: ["nofile", "nproc"].map((limit) => ({ Name: limit, Soft: 1024, Hard: 1024 })),
      },
      ...(first
        ? { NetworkingConfig: { EndpointsConfig: { [first[0]]: endpoint(first[1]) } } }
        : {}),
      ...(options.failsHealthCheck
        ? {
          Healthcheck: { Test: ["CMD", "/missing"], Interval: second, Timeout: second, Retries: 1 },
        }
        : {}),
    });
    for (const [network, address] of more) await this.connect(network, name, address);
    if (options.isStarted ?? true) await container.start();
    return container.id;
  }

  /** Attaches a container to a network at an address. */
  async connect(network: string, container: string, address: string): Promise<void> {
    await this.docker.getNetwork(network).connect({
      Container: container,
      EndpointConfig: { IPAMConfig: { IPv4Address: address } },
    });
  }

  /** Cuts a container off a network. */
  async disconnect(network: string, container: string): Promise<void> {
    await this.docker.getNetwork(network).disconnect({ Container: container, Force: true });
  }

  /** Ends a container, so that it is `exited`. */
  async kill(container: string): Promise<void> {
    const handle = this.docker.getContainer(container);
    const ended = handle.wait();
    await handle.kill();
    await ended;
    // Docker's lists may be late.
    const isListed = async () => {
      const all = await this.containers();
      return all.some(({ Names, State }) => Names.includes(`/${container}`) && State === "running");
    };
    await until(async () => !await isListed(), { what: `the end of ${container}` });
  }

  /** Removes a container, running or not. */
  async remove(container: string): Promise<void> {
    const handle = this.docker.getContainer(container);
    // Podman's removal alone gives the processes 10 s to end.
    await handle.stop({ t: 0 }).catch(() => {});
    await handle.remove({ force: true, v: true });
  }

  /** Observes the engine; what does not bear the tag belongs to other tests and is left out. */
  async observe(prefixes: Prefixes): Promise<Observation> {
    const observation = await observe(new AbortController().signal, {
      socket: this.socketPath,
      ...prefixes,
      callTimeoutMs: 30_000,
      timeoutMs: 60_000,
    });
    const { bridges, containers, inventory } = observation;
    const isHere = (name: string) => name.includes(this.tag);
    return {
      ...observation,
      bridges: bridges.filter(isHere),
      containers: containers.filter(isHere),
      inventory: {
        networks: inventory.networks.filter(({ name }) => isHere(name)),
        containers: inventory.containers.filter(({ name }) => isHere(name)),
      },
    };
  }

  /** The networks of this sandbox. */
  async networks(): Promise<ListedNetwork[]> {
    const all: ListedNetwork[] = await this.docker.listNetworks();
    return all.filter(({ Name }) => Name.includes(this.tag));
  }

  /** The containers of this sandbox, running or not. */
  async containers(): Promise<ListedContainer[]> {
    const all: ListedContainer[] = await this.docker.listContainers({ all: true });
    return all.filter(({ Names }) => Names.some((name) => name.includes(this.tag)));
  }

  /** Makes an image, which takes over the name from an earlier one; returns its id. */
  async importImage(name: string, { command = "/pause", lines = "" } = {}): Promise<string> {
    const [repo, tag] = this.#own(name).split(":");
    const changes = `CMD ["${command}"]`;
    const answer = await this.docker.importImage(Buffer.from(pausingImage(lines)), { changes });
    let text = "";
    for await (const part of answer) text += part;
    const id = /"status":"(sha256:[0-9a-f]{64})"/.exec(text)?.[1];
    assert.ok(id, `no image came of the import: ${text}`);
    this.#images.push(id);
    // Podman's import takes no tag.
    await this.docker.getImage(id).tag({ repo, tag });
    return id;
  }

  /** Makes an image of a container, with its labels and more; returns its id. */
  async commit(container: string, labels: Readonly<Record<string, string>> = {}): Promise<string> {
    const repo = `decnet-agent-test-${this.tag}-commit`;
    const tag = String(this.#images.length);
    const [change] = Object.entries(labels).map(([key, value]) => `LABEL ${key}=${value}`);
    const handle = this.docker.getContainer(container);
    await handle.commit({ repo, tag, ...(change && { changes: change }) });
    this.#images.push(`${repo}:${tag}`);
    return `${repo}:${tag}`;
  }

  /** Removes everything with the tag, and the images. */
  async [Symbol.asyncDispose](): Promise<void> {
    // Repeated until nothing is left: Podman removes no base that services use, and the engine may
    // still carry out calls of a killed agent.
    await until(async () => {
      const containers = await this.containers();
      await Promise.allSettled(containers.map(({ Id }) => this.remove(Id)));
      const networks = await this.networks();
      await Promise.allSettled(networks.map(({ Id }) => this.docker.getNetwork(Id).remove()));
      return containers.length + networks.length === 0;
    }, { what: `an empty sandbox ${this.tag}`, timeoutMs: 90_000 });
    // The newest first: Docker removes no image that another one was made from, and then that too.
    for (const id of this.#images.toReversed()) {
      await this.docker.getImage(id).remove({ force: true }).catch(
        (error: { statusCode?: number }) => {
          if (error.statusCode !== 404) throw error;
        },
      );
    }
  }

  #own(name: string): string {
    assert.ok(name.includes(this.tag), `${name} would not be removed`);
    return name;
  }

  async #chooseSubnets(): Promise<void> {
    const taken: ListedNetwork[] = await this.docker.listNetworks();
    const subnets = taken.flatMap(({ IPAM }) => (IPAM.Config ?? []).map(({ Subnet }) => Subnet))
      // Another engine of this machine has networks, too.
      .concat(Deno.networkInterfaces().map(({ address }) => address));
    do {
      this.#octet = 100 + Math.floor(Math.random() * 150);
    } while (subnets.some((subnet) => subnet.startsWith(`10.${this.#octet}.`)));
  }
}

/** Adds a test with a sandbox in an engine. */
export function testInSandbox(
  { requirement, socket }: TestEngine,
  name: string,
  run: (sandbox: DockerSandbox, t: Deno.TestContext) => Promise<void>,
): void {
  requirement.test(name, async (t) => {
    await using sandbox = await DockerSandbox.open(socket);
    await run(sandbox, t);
  });
}
