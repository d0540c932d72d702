/**
 * What the engine is asked for, as its API has it. The order of the fields counts: the digest of a
 * specification is taken over the text, and one that changed without need would make the next apply
 * of each host recreate everything.
 */

type Labels = Readonly<Record<string, string>>;

/** The body of `POST /networks/create`. */
export interface NetworkRequest {
  readonly Name: string;
  readonly CheckDuplicate: true;
  readonly Driver: "bridge";
  readonly Internal: boolean;
  readonly IPAM: {
    readonly Driver: "default";
    readonly Config: readonly [{ readonly Subnet: string }];
  };
  readonly Labels: Labels;
}

/** How a container is attached to a network. */
export interface EndpointRequest {
  readonly IPAMConfig: { readonly IPv4Address: string };
}

/** The body of `POST /containers/create`; engines before API 1.44 take but one of the endpoints. */
export interface ContainerRequest {
  readonly Image: string;
  readonly Hostname?: string;
  readonly Entrypoint?: readonly string[];
  readonly Cmd?: readonly string[];
  readonly Env?: readonly string[];
  readonly HostConfig: {
    readonly NetworkMode: string;
    readonly RestartPolicy: { readonly Name: "unless-stopped" };
    readonly LogConfig: typeof logConfig;
    readonly CapAdd?: readonly ["NET_ADMIN"];
    readonly Sysctls?: Readonly<Record<string, string>>;
  };
  readonly NetworkingConfig?: {
    readonly EndpointsConfig: Readonly<Record<string, EndpointRequest>>;
  };
  readonly Labels: Labels;
}

/** A decoy that is attacked for months must not fill the disk of its host. */
const logConfig = {
  Type: "json-file",
  Config: { "max-size": "10m", "max-file": "5" },
} as const;
const restartPolicy = { Name: "unless-stopped" } as const;

/** The request for a LAN's network. */
export function networkRequest(
  { name, subnet, internal }: { name: string; subnet: string; internal: boolean },
  labels: Labels,
): NetworkRequest {
  return {
    Name: name,
    CheckDuplicate: true,
    Driver: "bridge",
    Internal: internal,
    IPAM: { Driver: "default", Config: [{ Subnet: subnet }] },
    Labels: labels,
  };
}

/** A base container: it does nothing but hold the decky's network. */
interface Base {
  /** The decky's name. */
  readonly name: string;
  readonly image: string;
  readonly addressByNetwork: ReadonlyMap<string, string>;
  readonly forwardsL3: boolean;
}

/** The request for a decky's base container. */
export function baseRequest(base: Base, labels: Labels): ContainerRequest {
  const endpoints = [...base.addressByNetwork].map(([network, address]) =>
    [network, { IPAMConfig: { IPv4Address: address } }] as const
  );
  return {
    Image: base.image,
    Hostname: base.name,
    // Whatever the image would run of its own.
    Entrypoint: ["sleep"],
    Cmd: ["infinity"],
    HostConfig: {
      NetworkMode: endpoints[0]?.[0] ?? "none",
      RestartPolicy: restartPolicy,
      LogConfig: logConfig,
      CapAdd: ["NET_ADMIN"],
      ...(base.forwardsL3 ? { Sysctls: { "net.ipv4.ip_forward": "1" } } : {}),
    },
    NetworkingConfig: { EndpointsConfig: Object.fromEntries(endpoints) },
    Labels: labels,
  };
}

/** The request for a container that shares the network of `base`. */
export function serviceRequest(
  { decky, image, base }: { decky: string; image: string; base: string },
  labels: Labels,
): ContainerRequest {
  return {
    Image: image,
    Env: [`HOSTNAME=${decky}`],
    HostConfig: {
      NetworkMode: `container:${base}`,
      RestartPolicy: restartPolicy,
      LogConfig: logConfig,
    },
    Labels: labels,
  };
}
