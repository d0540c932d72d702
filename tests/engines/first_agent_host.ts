import type { ApplySetup, Sample, SampleDecky } from "./apply_setup.ts";

/** What the first agent has made of a document. */
interface FirstAgentOptions {
  /** The id of a topology; its first 8 characters are in names, and so is the sandbox's tag. */
  readonly id: string;
  readonly sample: Sample;
  /** The image of all containers, by its id: the first agent names its own by digest, or not at all. */
  readonly image: string;
  /** Decky → the ports that its base publishes on all addresses. */
  readonly ports?: Readonly<Record<string, readonly string[]>>;
}

/**
 * The host of the first agent in an engine: networks without labels, and containers that docker compose
 * made, with its labels and without ours for specification and image. Services are named without the id
 * of the topology.
 */
export class FirstAgentHost {
  constructor(readonly setup: ApplySetup, readonly options: FirstAgentOptions) {}

  /** Makes the networks, the bases and the services. */
  async build(): Promise<void> {
    const { sandbox } = this.setup;
    const { sample: { lans, deckies } } = this.options;
    for (const [index, [lan, number]] of Object.entries(lans).entries()) {
      const subnet = sandbox.subnet(number);
      await sandbox.makeNetwork(this.name(lan), { subnet, internal: index > 0 });
    }
    for (const [decky, values] of Object.entries(deckies)) await this.buildDecky(decky, values);
  }

  /** The name of a network or a base. */
  name(short: string): string {
    return `decnet_t_${this.options.id.slice(0, 8)}_${short.toLowerCase()}`;
  }

  /** Makes a base and its services. */
  async buildDecky(decky: string, { on, services = [], forwards = false }: SampleDecky) {
    const { sandbox } = this.setup;
    const { sample: { lans }, image, ports = {} } = this.options;
    const bindings = (ports[decky] ?? []).map((
      port,
    ) => [port, [{ HostPort: String(parseInt(port)) }]]);
    const [[firstLan = "", firstHost = 0] = [], ...more] = Object.entries(on);
    const endpoint = (lan: string, host: number) => ({
      IPAMConfig: { IPv4Address: sandbox.address(lans[lan]!, host) },
    });
    const base = await sandbox.docker.createContainer({
      name: this.name(decky),
      Hostname: decky,
      Image: image,
      Cmd: ["sleep", "infinity"],
      Labels: this.#labels(decky, decky, { "decnet.topology.role": "base" }),
      ExposedPorts: Object.fromEntries(bindings.map(([port]) => [port, {}])),
      HostConfig: {
        ...restartAndLog,
        NetworkMode: this.name(firstLan),
        CapAdd: ["NET_ADMIN"],
        ...(forwards && { Sysctls: { "net.ipv4.ip_forward": "1" } }),
        PortBindings: Object.fromEntries(bindings),
      },
      NetworkingConfig: {
        EndpointsConfig: { [this.name(firstLan)]: endpoint(firstLan, firstHost) },
      },
    });
    for (const [lan, host] of more) {
      await sandbox.connect(this.name(lan), base.id, sandbox.address(lans[lan]!, host));
    }
    await base.start();
    for (const service of services) await this.#buildService(decky, service, base.id);
  }

  async #buildService(decky: string, service: string, base: string): Promise<void> {
    const name = `${decky}-${service.replace("docker_api", "docker-api")}`;
    const container = await this.setup.sandbox.docker.createContainer({
      name,
      Image: this.options.image,
      Env: [`HOSTNAME=${decky}`, `NODE_NAME=${decky}`],
      Labels: this.#labels(decky, name, {
        "decnet.topology.service": "true",
        "decnet.topology.service_name": service,
      }),
      HostConfig: { ...restartAndLog, NetworkMode: `container:${base}` },
    });
    await container.start();
  }

  #labels(decky: string, composeService: string, more: Record<string, string>) {
    const { id } = this.options;
    return {
      "com.docker.compose.project": `decnet-topo-${id.slice(0, 8)}`,
      "com.docker.compose.service": composeService,
      "com.docker.compose.container-number": "1",
      "com.docker.compose.oneoff": "False",
      "decnet.topology.id": id,
      "decnet.topology.decky": decky,
      ...more,
    };
  }
}

const restartAndLog = {
  RestartPolicy: { Name: "unless-stopped" },
  LogConfig: { Type: "json-file", Config: { "max-size": "10m", "max-file": "5" } },
};
