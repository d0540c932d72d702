import {
  container,
  type ContainerItem,
  containerOf,
  type NetworkItem,
  networkOf,
} from "../../tests/engine/mod.ts";
import { defaultImages, planDocument } from "../../topology/mod.ts";

/** A topology whose deckies have one service each, as a document. */
export function topologyOf(
  deckies: number,
  { services = ["ssh"] }: { services?: readonly string[] } = {},
): string {
  const lans = Math.max(1, Math.min(20, Math.floor(deckies / 5)));
  const address = (index: number) => `10.${index % lans}.${1 + (index >> 8)}.${index & 255}`;
  return JSON.stringify({
    topology: { id: "51ze0000-0000-4000-8000-000000000000", name: "size", mode: "agent" },
    lans: Array.from({ length: lans }, (_, index) => ({
      id: `lan-${index}`,
      name: `lan-${index}`,
      subnet: `10.${index}.0.0/16`,
      is_dmz: index === 0,
    })),
    deckies: Array.from({ length: deckies }, (_, index) => ({
      uuid: `decky-${index}`,
      name: `decky-${index}`,
      services,
      decky_config: {
        name: `decky-${index}`,
        // One in ten is on the DMZ as well, so that each LAN has a way there.
        ips_by_lan: {
          [`lan-${index % lans}`]: address(index),
          ...(index % lans !== 0 && index < 10 * lans &&
            { "lan-0": `10.0.250.${10 + index}` }),
        },
        service_config: { ssh: { banner: `OpenSSH_9.2p1 Debian-2+deb12u${index % 7}` } },
      },
    })),
    edges: [],
  });
}

/** What runs of a topology, as the engine lists it. */
export async function runningOf(
  document: string,
): Promise<{ networks: NetworkItem[]; containers: ContainerItem[] }> {
  const plan = await planDocument(document, defaultImages);
  return { networks: plan.networks.map(networkOf), containers: plan.containers.map(containerOf) };
}

/** A container of somebody else's web application: with ports, a volume and a tool's many labels. */
export function foreignContainer(index: number): ContainerItem {
  const project = `shop-${index % 100}`;
  const labels: Record<string, string> = {
    "com.docker.compose.config-hash": index.toString(16).padStart(64, "c"),
    "com.docker.compose.container-number": "1",
    "com.docker.compose.depends_on": "database:service_healthy:false,cache:service_started:false",
    "com.docker.compose.image": `sha256:${"3f".repeat(32)}`,
    "com.docker.compose.oneoff": "False",
    "com.docker.compose.project": project,
    "com.docker.compose.project.config_files": `/srv/applications/${project}/docker-compose.yml`,
    "com.docker.compose.project.working_dir": `/srv/applications/${project}`,
    "com.docker.compose.service": "web",
    "com.docker.compose.version": "2.24.5",
    "org.opencontainers.image.source": "https://example.com/shop/web",
  };
  const item = container({
    name: `${project}-web-${index}`,
    image: "registry.example.com/shop/web:4.2.1",
    labels,
    addresses: { [`${project}_default`]: `172.20.${index >> 8 & 255}.${index & 255}` },
  });
  item.Ports = [443, 8080].flatMap((port) =>
    ["0.0.0.0", "::"].map((IP) => ({
      IP,
      PrivatePort: port,
      PublicPort: 20_000 + index,
      Type: "tcp",
    }))
  );
  item.Mounts = [{
    Type: "volume",
    Name: `${project}_data`,
    Source: `/var/lib/docker/volumes/${project}_data/_data`,
    Destination: "/var/lib/shop",
    Driver: "local",
    Mode: "z",
    RW: true,
    Propagation: "",
  }];
  return item;
}
