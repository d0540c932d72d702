import assert from "node:assert/strict";
import { decky, topology } from "../tests/support/topology.ts";
import { readTopology, type Topology } from "./document.ts";
import { specLabel } from "./inventory.ts";
import { type Json, parseJson } from "./json.ts";
import {
  defaultPlanOptions,
  engineRequest,
  hideValues,
  type ImageNames,
  type PlanOptions,
  planTopology,
} from "./plan.ts";
import { parseServices } from "./services.ts";

function topologyIn(name: string): Topology {
  const file = new URL(`../tests/data/${name}`, import.meta.url);
  return readTopology(parseJson(Deno.readTextFileSync(file)));
}

const planOf = (name: string) => planTopology(topologyIn(name), defaultPlanOptions);

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
  base: "7695bdde2c33c4d4cc451251166cd092d4863eb63bd266bf97e65fa032330488",
  service: "e4147546c23328f021d19e5b54ae6b914e18b1f44825c61b6af14e411a29c40c",
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
        ExposedPorts: { "22/tcp": {} },
        HostConfig: {
          NetworkMode: lan,
          RestartPolicy: { Name: "unless-stopped" },
          LogConfig: logConfig,
          CapAdd: ["NET_ADMIN"],
          CapDrop: ["ALL"],
          SecurityOpt: ["no-new-privileges"],
          PidsLimit: 64,
          Sysctls: { "net.ipv4.ip_forward": "1", "net.ipv4.ip_unprivileged_port_start": "0" },
          PortBindings: { "22/tcp": [{ HostIp: "0.0.0.0", HostPort: "22" }] },
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
      hiddenValues: new Map(),
    },
    {
      name: `${base}-ssh`,
      decky: "decky-001",
      service: "ssh",
      addressByNetwork: new Map(),
      base,
      request: {
        Image: "decnet/ssh:latest",
        Env: [
          "HOSTNAME=decky-001",
          "NODE_NAME=decky-001",
          "SSH_ROOT_PASSWORD=admin",
          "SSH_USER=ubuntu",
          "SSH_USER_PASSWORD=admin",
        ],
        HostConfig: {
          NetworkMode: `container:${base}`,
          RestartPolicy: { Name: "unless-stopped" },
          LogConfig: logConfig,
          CapAdd: ["NET_BIND_SERVICE"],
          PidsLimit: 1024,
        },
        Labels: {
          ...labels,
          "decnet.topology.decky": "decky-001",
          "decnet.topology.service": "true",
          "decnet.topology.service_name": "ssh",
          [specLabel]: specs.service,
        },
      },
      hiddenValues: new Map(),
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
  const addresses = { ips_by_lan: { "Office.LAN": "10.1.0.9" } };
  const { deckies } = small({ name: "Web", services: ["HTTP"] }, addresses);
  const lans = [{ name: "Office.LAN", subnet: "10.1.0.0/16", isDmz: false }];
  const topology = { id: "ABCDEFGH-rest", name: "", lans, deckies };
  const { networks, containers } = await planTopology(topology, defaultPlanOptions);
  const prefix = "decnet_t_ABCDEFGH_";
  assert.equal(networks[0]?.name, `${prefix}office.lan`);
  assert.deepEqual(containers.map(({ name }) => name), [`${prefix}Web`, `${prefix}Web-HTTP`]);
  assert.deepEqual([...containers[0]!.addressByNetwork], [[`${prefix}office.lan`, "10.1.0.9"]]);
});

Deno.test("planTopology() keeps a short id, plans nothing for an empty topology", async () => {
  const lan = { name: "a", subnet: "10.1.0.0/16", isDmz: true };
  const short = { id: "abc", name: "", lans: [lan], deckies: [] };
  const { networks } = await planTopology(short, defaultPlanOptions);
  assert.equal(networks[0]?.name, "decnet_t_abc_a");
  assert.deepEqual(await planTopology({ ...short, lans: [] }, defaultPlanOptions), {
    topologyId: "abc",
    networks: [],
    containers: [],
  });
});

Deno.test("planTopology() gives a decky of a large topology the same digest", async () => {
  const services = ["ssh", "http"];
  const deckies = Array.from({ length: 1_400 }, (_, index) => decky(`d${index}`, { services }));
  const specs = async (start: number, end: number) => {
    const part = topology({ deckies: deckies.slice(start, end) });
    const { containers } = await planTopology(part, defaultPlanOptions);
    return containers.map(({ request }) => request.Labels[specLabel]);
  };
  const all = await specs(0, 1_400);
  assert.deepEqual(all, [...await specs(0, 700), ...await specs(700, 1_400)]);
  assert.equal(new Set(all).size, 4_200);
});

Deno.test("planTopology() uses images of document, then configuration", async () => {
  const images: ImageNames = {
    base: "own/base:1",
    service: "own/{service}-{service}:2",
    byService: new Map([["ssh", "own/special"], ["http", "own/web"]]),
  };
  const services = { services: ["ssh", "http", "ftp"] };
  const topology = small(services, { service_config: { ssh: { image: "named/ssh:3" } } });
  const { containers } = await planTopology(topology, { ...defaultPlanOptions, images });
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
      return planTopology({ id: "a", name: "", lans, deckies }, defaultPlanOptions);
    }),
  );
  assert.deepEqual(one, other);
  assert.equal(one!.containers[0]!.request.HostConfig.NetworkMode, "decnet_t_a_10");
});

/** The containers of a decky `d` on the DMZ, with these services. */
async function containersOf(
  services: string[],
  config: { [key: string]: unknown } = {},
  options: Partial<PlanOptions> = {},
) {
  const { containers } = await planTopology(small({ services }, config), {
    ...defaultPlanOptions,
    ...options,
  });
  return containers;
}

/** The digests of the base and its services. */
async function specsOf(...parameters: Parameters<typeof containersOf>) {
  return (await containersOf(...parameters)).map(({ request }) => request.Labels[specLabel]);
}

Deno.test("planTopology() shows no value of service_config, the engine gets it", async () => {
  const secrets = { password: "hunter2", user_password: "•••", hostname: "" };
  const [, ssh, own] = await containersOf(["ssh", "own"], {
    service_config: { ssh: { ...secrets, image: "a:1", unused: "x" }, own: { any: "hunter2" } },
  });
  const fixed = ["HOSTNAME=d", "NODE_NAME=d"];
  assert.deepEqual(ssh!.request.Env, [
    ...fixed,
    "SSH_HOSTNAME=•••",
    "SSH_ROOT_PASSWORD=•••",
    "SSH_USER=ubuntu",
    "SSH_USER_PASSWORD=•••",
  ]);
  assert.deepEqual(engineRequest(ssh!), {
    ...ssh!.request,
    Env: [
      ...fixed,
      "SSH_HOSTNAME=",
      "SSH_ROOT_PASSWORD=hunter2",
      "SSH_USER=ubuntu",
      "SSH_USER_PASSWORD=•••",
    ],
  });
  // A service that is not in the catalogue.
  assert.deepEqual(own!.request.Env, fixed);
  assert.ok(!JSON.stringify([ssh, own]).includes("hunter2"));
});

Deno.test("hideValues() hides values in any form, and nothing else", async () => {
  const cases: [value: string, message: string, shown: string][] = [
    ["hunter2", "no such user: hunter2", "no such user: •••"],
    ["hunter2", "hunter2, hunter22, xhunter2", "•••, hunter22, xhunter2"],
    ["hunter2", "x SSH_ROOT_PASSWORD=hunter2 y", "x SSH_ROOT_PASSWORD=•••"],
    // Cut off, or escaped in a way of its own.
    ["hunter2", '["SSH_ROOT_PASSWORD=hunt', '["SSH_ROOT_PASSWORD=•••'],
    ["a<b", '{"SSH_ROOT_PASSWORD=a\\u003cb"}', '{"SSH_ROOT_PASSWORD=•••'],
    ['a"\n', 'got "a\\"\\n" (a"\n)', 'got "•••" (•••)'],
    ["a", "no such file or directory: a", "no such file or directory: •••"],
    [".*", "any.* (.*)", "any.* (•••)"],
    ["$&", "costs $&.", "costs •••."],
    ["", "no space left on device", "no space left on device"],
    ["", "x SSH_ROOT_PASSWORD= y", "x SSH_ROOT_PASSWORD=•••"],
  ];
  for (const [password, message, shown] of cases) {
    const [base, ssh] = await containersOf(["ssh"], { service_config: { ssh: { password } } });
    assert.equal(hideValues(ssh!, message), shown);
    assert.equal(hideValues(base!, message), message);
  }
});

Deno.test("planTopology() gives a changed value another specification", async () => {
  const withPassword = (password: string) => ({ service_config: { ssh: { password } } });
  const [base, ssh, ftp] = await specsOf(["ssh", "ftp"], withPassword("a"));
  const [otherBase, otherSsh, otherFtp] = await specsOf(["ssh", "ftp"], withPassword("b"));
  assert.deepEqual([otherBase, otherFtp], [base, ftp]);
  assert.notEqual(otherSsh, ssh);
  // The value in the document is that of the catalogue: the container stays.
  assert.deepEqual(await specsOf(["ssh"], withPassword("admin")), await specsOf(["ssh"]));
});

Deno.test("planTopology() publishes the ports of a gateway, each once", async () => {
  const services = ["https", "dns", "conpot", "http", "own"];
  const config = { forwards_l3: true, service_config: { https: { http_versions: ["http/3"] } } };
  const [base, ...others] = await containersOf(services, config, { publish: "192.0.2.1" });
  const ports = ["53/tcp", "53/udp", "80/tcp", "161/udp", "443/tcp", "443/udp", "502/tcp"];
  const { ExposedPorts, HostConfig: { PortBindings } } = base!.request;
  assert.deepEqual(ExposedPorts, Object.fromEntries(ports.map((port) => [port, {}])));
  assert.deepEqual(Object.keys(ExposedPorts!), ports);
  assert.deepEqual(
    PortBindings,
    Object.fromEntries(ports.map((port) => {
      return [port, [{ HostIp: "192.0.2.1", HostPort: port.split("/")[0] }]];
    })),
  );
  assert.ok(
    others.every(({ request }) => !request.ExposedPorts && !request.HostConfig.PortBindings),
  );
});

Deno.test("planTopology() publishes nothing of any other decky", async () => {
  const { containers } = await planOf("topology-three-lans.json");
  const publishing = containers.filter(({ request }) => request.HostConfig.PortBindings);
  // decky-002 forwards, too, but is on internal LANs only.
  assert.deepEqual(publishing.map(({ decky }) => decky), ["decky-001"]);
  const [off] = await containersOf(["ssh"], { forwards_l3: true }, { publish: null });
  const [inner] = await containersOf(["ssh"]);
  for (const { request } of [off!, inner!]) {
    assert.equal(request.ExposedPorts, undefined);
    assert.equal(request.HostConfig.PortBindings, undefined);
  }
});

Deno.test("planTopology() gives a changed base another specification", async () => {
  const gateway = { forwards_l3: true };
  const bases = await Promise.all([
    specsOf(["ssh"], gateway),
    specsOf(["ssh", "ftp"], gateway),
    specsOf(["ssh"], gateway, { publish: "192.0.2.1" }),
    specsOf(["ssh"], gateway, { publish: null }),
    specsOf(["ssh"]),
    specsOf(["ssh"], { ips_by_lan: { L: "10.0.0.3" } }),
  ]);
  assert.equal(new Set(bases.map(([base]) => base)).size, bases.length);
  // A service without ports changes no base, nor does the order of services.
  assert.equal((await specsOf(["own", "ssh"], gateway))[0], bases[0]![0]);
  // As before there was a catalogue: an upgrade must not recreate such a base.
  assert.deepEqual(
    await specsOf([]),
    ["b322eb9f02cd337aea88762da5b083a0482cd94ef0ae07abda509fd9882d80c8"],
  );
});

Deno.test("planTopology() drops and adds capabilities, and limits processes", async () => {
  const services = parseServices(`{
    "raw": {"capabilities": ["NET_RAW", "NET_ADMIN"], "confined": true},
    "plain": {}
  }`);
  const [base, raw, plain] = await containersOf(["raw", "plain"], {}, { services });
  const confinement = ({ request: { HostConfig } }: NonNullable<typeof base>) => {
    const { CapAdd, CapDrop, SecurityOpt, PidsLimit } = HostConfig;
    return [CapDrop, CapAdd, SecurityOpt, PidsLimit];
  };
  assert.deepEqual(confinement(base!), [["ALL"], ["NET_ADMIN"], ["no-new-privileges"], 64]);
  assert.deepEqual(
    confinement(raw!),
    [undefined, ["NET_RAW", "NET_ADMIN"], ["no-new-privileges"], 1024],
  );
  assert.deepEqual(confinement(plain!), [undefined, undefined, undefined, 1024]);
  assert.equal(base!.request.HostConfig.Sysctls?.["net.ipv4.ip_unprivileged_port_start"], "0");
});

Deno.test("planTopology() mounts a folder where artifacts-dir is set", async () => {
  const services = ["ssh", "smtp_relay", "ftp"];
  const bindsOf = async (artifactsDirectory: string | null) =>
    (await containersOf(services, {}, { artifactsDirectory }))
      .map(({ request }) => request.HostConfig.Binds);
  assert.deepEqual(await bindsOf("/srv/a"), [
    undefined,
    ["/srv/a/d/ssh:/var/lib/systemd/coredump"],
    ["/srv/a/d/smtp:/var/spool/mqueue"],
    undefined,
  ]);
  assert.deepEqual(await bindsOf(null), Array(4).fill(undefined));
});
