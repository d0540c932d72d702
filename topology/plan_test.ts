import assert from "node:assert/strict";
import { readTopology, type Topology } from "./document.ts";
import { specLabel } from "./inventory.ts";
import { type Json, parseJson } from "./json.ts";
import { defaultImages, type ImageNames, planTopology } from "./plan.ts";

function topologyIn(name: string): Topology {
  const file = new URL(`../tests/data/${name}`, import.meta.url);
  return readTopology(parseJson(Deno.readTextFileSync(file)));
}

const planOf = (name: string) => planTopology(topologyIn(name), defaultImages);

/** A document of one LAN and one decky. */
function small(decky: { [key: string]: unknown }, config: { [key: string]: unknown } = {}) {
  return readTopology(parseJson(JSON.stringify({
    topology: { id: "a" },
    lans: [{ name: "L", subnet: "10.0.0.0/24", is_dmz: true }],
    deckies: [{
      name: "d",
      services: [],
      ...decky,
      decky_config: { ips_by_lan: { L: "10.0.0.2" }, ...config },
    }],
  })) as Json);
}

const labels = { "decnet.topology.id": "11111111-2222-3333-4444-555555555555" };
const logConfig = { Type: "json-file", Config: { "max-size": "10m", "max-file": "5" } };
const lan = "decnet_t_11111111_lan-00";
const base = "decnet_t_11111111_decky-001";
/** Digests: a change of one is breaking, as the next apply of each host recreates what it is of. */
const specs = {
  network: "edc5534e7464a540d18567deb2e2549a254425c21363d63471dad46592ffa50c",
  base: "66e263e312c5cb0d08fc74ab84ae521d24781a23ace7ccfe9e106256624d4a25",
  service: "954f1616e0f52085ace2551ab8166ad21d0b4ce29a4e5bf675c39b13a96f9fcc",
};

Deno.test("planTopology() plans one LAN, with what the engine is asked for", async () => {
  const { topologyId, networks, containers } = await planOf("topology-one-lan.json");
  assert.equal(topologyId, "11111111-2222-3333-4444-555555555555");
  assert.deepEqual(networks, [{
    name: lan,
    subnet: "10.0.0.0/24",
    internal: false,
    request: {
      Name: lan,
      CheckDuplicate: true,
      Driver: "bridge",
      Internal: false,
      EnableIPv6: false,
      IPAM: { Driver: "default", Config: [{ Subnet: "10.0.0.0/24" }] },
      Labels: { ...labels, [specLabel]: specs.network },
    },
  }]);
  assert.deepEqual(containers, [
    {
      name: base,
      decky: "decky-001",
      service: null,
      addressByNetwork: new Map([[lan, "10.0.0.2"]]),
      base: null,
      request: {
        Image: "debian:bookworm-slim",
        Hostname: "decky-001",
        Entrypoint: ["sleep"],
        Cmd: ["infinity"],
        HostConfig: {
          NetworkMode: lan,
          RestartPolicy: { Name: "unless-stopped" },
          LogConfig: logConfig,
          CapAdd: ["NET_ADMIN"],
          Sysctls: { "net.ipv4.ip_forward": "1" },
        },
        NetworkingConfig: {
          EndpointsConfig: { [lan]: { IPAMConfig: { IPv4Address: "10.0.0.2" } } },
        },
        Labels: {
          ...labels,
          "decnet.topology.decky": "decky-001",
          "decnet.topology.role": "base",
          [specLabel]: specs.base,
        },
      },
    },
    {
      name: `${base}-ssh`,
      decky: "decky-001",
      service: "ssh",
      addressByNetwork: new Map(),
      base,
      request: {
        Image: "decnet/ssh:latest",
        Env: ["HOSTNAME=decky-001"],
        HostConfig: {
          NetworkMode: `container:${base}`,
          RestartPolicy: { Name: "unless-stopped" },
          LogConfig: logConfig,
        },
        Labels: {
          ...labels,
          "decnet.topology.decky": "decky-001",
          "decnet.topology.service": "true",
          "decnet.topology.service_name": "ssh",
          [specLabel]: specs.service,
        },
      },
    },
  ]);
});

Deno.test("planTopology() plans several LANs, deckies and services", async () => {
  const { networks, containers } = await planOf("topology-three-lans.json");
  const prefix = "decnet_t_7c9e6679_";
  assert.deepEqual(
    networks.map(({ name, subnet, internal }) => [name, subnet, internal]),
    [
      [`${prefix}lan-00`, "10.77.0.0/24", false],
      [`${prefix}lan-01`, "10.77.1.0/24", true],
      [`${prefix}lan-02`, "10.77.2.0/24", true],
    ],
  );
  const described = containers.map(({ name, addressByNetwork, base }) =>
    [name, base ?? "", ...[...addressByNetwork].flat()].map((part) => part.replace(prefix, ""))
      .join(" ").replace("  ", " ")
  );
  assert.deepEqual(described, [
    "decky-001 lan-00 10.77.0.2 lan-01 10.77.1.2",
    "decky-001-ssh decky-001",
    "decky-002 lan-01 10.77.1.3 lan-02 10.77.2.2",
    "decky-002-http decky-002",
    "decky-003 lan-02 10.77.2.3",
    "decky-003-smb decky-003",
    "decky-003-mysql decky-003",
    "decky-004 lan-00 10.77.0.3",
    "decky-004-http decky-004",
  ]);
  assert.ok(containers.every(({ name }) => name.startsWith(prefix)));
});

Deno.test("planTopology() lower-cases the LANs and nothing else", async () => {
  const plan = await planTopology({
    id: "ABCDEFGH-rest",
    name: "",
    lans: [{ name: "Office.LAN", subnet: "10.1.0.0/16", isDmz: false }],
    deckies: [{
      name: "Web",
      services: ["HTTP"],
      addressByLan: new Map([["Office.LAN", "10.1.0.9"]]),
      forwardsL3: false,
      imageByService: new Map(),
    }],
  }, defaultImages);
  assert.equal(plan.networks[0]?.name, "decnet_t_ABCDEFGH_office.lan");
  assert.deepEqual(plan.containers.map(({ name }) => name), [
    "decnet_t_ABCDEFGH_Web",
    "decnet_t_ABCDEFGH_Web-HTTP",
  ]);
  assert.deepEqual(
    [...plan.containers[0]!.addressByNetwork],
    [["decnet_t_ABCDEFGH_office.lan", "10.1.0.9"]],
  );
});

Deno.test("planTopology() keeps a short id, plans nothing for an empty topology", async () => {
  const lan = { name: "a", subnet: "10.1.0.0/16", isDmz: true };
  const short = { id: "abc", name: "", lans: [lan], deckies: [] };
  const { networks } = await planTopology(short, defaultImages);
  assert.equal(networks[0]?.name, "decnet_t_abc_a");
  assert.deepEqual(await planTopology({ ...short, lans: [] }, defaultImages), {
    topologyId: "abc",
    networks: [],
    containers: [],
  });
});

Deno.test("planTopology() uses images of document, then configuration", async () => {
  const images: ImageNames = {
    base: "own/base:1",
    service: "own/{service}-{service}:2",
    byService: new Map([["ssh", "own/special"], ["http", "own/web"]]),
  };
  const services = { services: ["ssh", "http", "ftp"] };
  const topology = small(services, { service_config: { ssh: { image: "named/ssh:3" } } });
  const { containers } = await planTopology(topology, images);
  assert.deepEqual(containers.map(({ request }) => request.Image), [
    "own/base:1",
    "named/ssh:3",
    "own/web",
    "own/ftp-ftp:2",
  ]);
});

Deno.test("planTopology() gives one specification for any order of keys", async () => {
  const lans = ["A", "B", "10", "9"].map((name, index) => ({
    name,
    subnet: `10.0.${index}.0/24`,
    isDmz: index === 0,
  }));
  const addresses: [string, string][] = lans.map(({ name }, index) => [name, `10.0.${index}.2`]);
  const [one, other] = await Promise.all(
    [addresses, addresses.toReversed()].map((entries) => {
      const [decky] = small({}).deckies;
      const deckies = [{ ...decky!, addressByLan: new Map(entries) }];
      return planTopology({ id: "a", name: "", lans, deckies }, defaultImages);
    }),
  );
  assert.deepEqual(one, other);
  assert.equal(one!.containers[0]!.request.HostConfig.NetworkMode, "decnet_t_a_10");
});

Deno.test("planTopology() gives a changed base another specification", async () => {
  const baseOf = async (config: { [key: string]: unknown }) => {
    const { containers } = await planTopology(small({}, config), defaultImages);
    return containers[0]!.request;
  };
  const [plain, moved, forwarding] = await Promise.all(
    [{}, { ips_by_lan: { L: "10.0.0.3" } }, { forwards_l3: true }].map(baseOf),
  );
  const specs = [plain, moved, forwarding].map((it) => it!.Labels[specLabel]);
  assert.equal(new Set(specs).size, 3);
  assert.equal(plain!.HostConfig.Sysctls, undefined);
  assert.deepEqual(forwarding!.HostConfig.Sysctls, { "net.ipv4.ip_forward": "1" });
});
