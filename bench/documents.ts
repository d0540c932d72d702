import {
  container,
  type ContainerItem,
  containerOf,
  type NetworkItem,
  networkOf,
} from "../tests/support/engine/state.ts";
import { planDocument } from "../topology/plan.ts";
import { standInOptions } from "../tests/support/topology.ts";

/** Returns a topology of so many deckies with these services, as a document. */
export function documentOf(deckies: number, services: readonly string[]): string {
  const lanCount = Math.max(1, Math.min(20, Math.floor(deckies / 5)));
  const lans = Array.from({ length: lanCount }, (_, index) => {
    const name = `lan-${index}`;
    return {
      id: name,
      name,
      subnet: `10.${200 + index}.0.0/16`,
      is_dmz: index === 0,
      x: 40.5,
      y: 40,
    };
  });
  const deckyOf = (index: number) => {
    const lan = index % lanCount;
    const ips = { [`lan-${lan}`]: `10.${200 + lan}.${1 + (index >> 8)}.${index & 255}` };
    // One in ten is on the DMZ as well, so that each LAN has a way there.
    if (lan !== 0 && index < 10 * lanCount) ips["lan-0"] = `10.200.250.${10 + index}`;
    const name = `decky-${index}`;
    const ssh = { banner: `OpenSSH_9.2p1 Debian-2+deb12u${index % 7}` };
    return {
      ...{ uuid: name, name, services },
      decky_config: { name, ips_by_lan: ips, service_config: { ssh } },
    };
  };
  return JSON.stringify({
    topology: { id: "51ze0000-0000-4000-8000-000000000000", name: "size", mode: "agent" },
    lans,
    deckies: Array.from({ length: deckies }, (_, index) => deckyOf(index)),
    edges: [],
  });
}

/** As long as what the engine lists of a container besides, and nothing reads. */
const unread = { Command: "sleep infinity", unread: "x".repeat(340) };

/** Returns what runs of a topology, as the engine lists it. */
export async function runningOf(
  document: string,
): Promise<{ networks: NetworkItem[]; containers: ContainerItem[] }> {
  const plan = await planDocument(document, standInOptions);
  const containers = plan.containers.map((it) => ({ ...containerOf(it), ...unread }));
  return { networks: plan.networks.map(networkOf), containers };
}

/** Returns a container of a web application: with ports, a volume and many labels, 2 KB. */
export function foreignContainer(index: number): ContainerItem {
  const project = `shop-${index % 100}`;
  const labels = Array.from({ length: 11 }, (_, label) => {
    return [`com.docker.compose.label-${label}`, `${project}/${index}/`.padEnd(50, "x")];
  });
  const item = container({
    name: `${project}-web-${index}`,
    image: "registry.example.com/shop/web:4.2.1",
    labels: Object.fromEntries(labels),
    addresses: { [`${project}_default`]: `172.20.${index >> 8 & 255}.${index & 255}` },
  });
  item.Ports = [443, 8080].flatMap((PrivatePort) => {
    return ["0.0.0.0", "::"].map((IP) => {
      return { IP, PrivatePort, PublicPort: 20_000 + index, Type: "tcp" };
    });
  });
  const folders = { Source: `/srv/docker/volumes/${project}/_data`, Destination: "/var/lib/shop" };
  const how = { Driver: "local", Mode: "z", RW: true, Propagation: "" };
  const mounts = [{ Type: "volume", Name: `${project}_data`, ...folders, ...how }];
  return Object.assign(item, unread, { Mounts: mounts });
}
