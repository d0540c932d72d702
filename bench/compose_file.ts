import type { Plan, PlannedContainer } from "../topology/plan.ts";

/** The same networks and containers as a file for docker-compose; JSON is YAML, too. */
export function composeFile({ networks, containers }: Plan): string {
  return JSON.stringify({
    version: "2.4",
    networks: Object.fromEntries(
      networks.map(({ name, subnet, internal, request }) => [name, {
        name,
        driver: "bridge",
        internal,
        ipam: { config: [{ subnet }] },
        labels: request.Labels,
      }]),
    ),
    services: Object.fromEntries(containers.map((it) => [it.name, service(it)])),
  });
}

function service({ name, base, addressByNetwork, request }: PlannedContainer) {
  const { Image, Hostname, Entrypoint, Cmd, Env, Labels, HostConfig } = request;
  return {
    container_name: name,
    image: Image,
    labels: Labels,
    restart: HostConfig.RestartPolicy.Name,
    logging: { driver: HostConfig.LogConfig.Type, options: HostConfig.LogConfig.Config },
    ...(base === null
      ? {
        hostname: Hostname,
        entrypoint: Entrypoint,
        command: Cmd,
        cap_add: HostConfig.CapAdd,
        networks: Object.fromEntries(
          [...addressByNetwork].map(([network, address]) => [network, { ipv4_address: address }]),
        ),
      }
      : { environment: Env, network_mode: `service:${base}` }),
  };
}
