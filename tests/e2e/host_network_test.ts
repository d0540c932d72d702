import assert from "node:assert/strict";
import { oneLan, textOf } from "../support/apply_host.ts";
import { network, type NetworkItem } from "../support/engine/state.ts";
import { execute, Host } from "../support/executable.ts";
import { requirement, works } from "../support/requirements.ts";

const namespaces = requirement(
  "unshare, ip and the right to use them",
  await works("unshare", "--net", "--mount", "ip", "link"),
);

const { topologyId, networks: [lan] } = oneLan.plan;
const { name, subnet } = lan!;
const labels = { "decnet.topology.id": topologyId };

/** A host in network and mount namespaces of its own, and what a LAN on 198.19.0.0/24 meets there. */
interface Case {
  readonly what: string;
  /** Commands that add to a host with the interface h0, which has no address. */
  readonly setup: readonly string[];
  readonly flags?: readonly string[];
  readonly networks?: readonly NetworkItem[];
  /** Follows the subnet and the network in the message; null when it can be applied. */
  readonly conflict: string | null;
}

const address = (cidr: string) => `ip address add ${cidr} dev h0`;
const nameServers = (path: string, ...addresses: string[]) =>
  `printf 'search test\\n${addresses.map((it) => `nameserver ${it}\\n`).join("")}' > ${path}`;
const onHost = (cidr: string) => `overlaps ${cidr} of this host's interface h0`;
const masterAt = (host: string) => [`--master-host=${host}`, "--host-uuid=u"];
const ofMaster = "holds the address of the master, 198.19.0.200";

/** As Docker lists a network of a plugin that leaves the addresses to a DHCP server. */
const withoutPool: NetworkItem = {
  ...network({ name: "dhcpnet", driver: "docker-net-dhcp:release-linux-amd64" }),
  IPAM: { Driver: "null", Config: [{ Subnet: "0.0.0.0/0" }] },
};
const macvlan = network({
  ...{ name: "decnet_t_11111111_old", subnet: "198.19.0.0/16", labels },
  driver: "macvlan",
});

const cases: readonly Case[] = [
  {
    what: "its own address",
    setup: [address("198.19.0.5/24")],
    conflict: onHost("198.19.0.5/24"),
  },
  {
    what: "an interface that is down",
    setup: [address("198.19.0.5/24"), "ip link set h0 down"],
    conflict: onHost("198.19.0.5/24"),
  },
  {
    what: "no part of the /32 or of its on-link gateway",
    setup: [address("198.18.0.5/32"), "ip route add default via 198.18.7.1 dev h0 onlink"],
    conflict: null,
  },
  {
    what: "the bridge of a removed Docker network",
    setup: [
      "ip link add br-0123456789ab type veth peer name p0",
      `ip address add ${subnet.replace("0/", "1/")} dev br-0123456789ab`,
    ],
    conflict: null,
  },
  {
    what: "the host's own bridge",
    setup: ["ip link set h0 name br0", "ip address add 198.19.0.5/24 dev br0"],
    conflict: "overlaps 198.19.0.5/24 of this host's interface br0",
  },
  {
    what: "a labelled macvlan around the host's address",
    setup: [address("198.19.7.5/16")],
    networks: [macvlan],
    conflict: `is taken by network ${macvlan.Name} (198.19.0.0/16)`,
  },
  {
    what: "the host's network, in place of a macvlan",
    setup: [address("198.19.7.5/16")],
    networks: [{ ...macvlan, Name: name }],
    conflict: onHost("198.19.7.5/16"),
  },
  { what: "networks without addresses", setup: [], networks: [withoutPool], conflict: null },
  {
    what: "a name server",
    setup: [nameServers("/etc/resolv.conf", "198.18.0.53", "198.19.0.53")],
    conflict: "holds a name server of /etc/resolv.conf, 198.19.0.53",
  },
  {
    what: "a name server that systemd-resolved asks",
    setup: [
      nameServers("/etc/resolv.conf", "127.0.0.53"),
      "mkdir -p /run/systemd/resolve",
      nameServers("/run/systemd/resolve/resolv.conf", "fd00::53", "198.19.0.53"),
    ],
    conflict: "holds a name server of /run/systemd/resolve/resolv.conf, 198.19.0.53",
  },
  {
    what: "one of a master's addresses",
    setup: ["printf '198.18.0.2 m.test\\n198.19.0.200 m.test\\n' > /etc/hosts"],
    flags: masterAt("m.test"),
    conflict: ofMaster,
  },
];

for (const { what, setup, flags = [], networks = [], conflict } of cases) {
  namespaces.test(`apply to a LAN that takes ${what}`, async () => {
    await using host = await Host.create();
    const engine = await host.startEngine();
    engine.networks = networks;
    engine.images = oneLan.plan.containers.map(({ request }) => request.Image);
    const files = ["resolv.conf", "hosts"];
    for (const it of files) await Deno.writeTextFile(`${host.folder}/${it}`, "");
    const commands = [
      "mount -t tmpfs none /run",
      ...files.map((it) => `mount --bind ${host.folder}/${it} /etc/${it}`),
      "ip link set lo up",
      "ip link add h0 type veth peer name h1",
      "ip link set h0 up && ip link set h1 up",
      ...setup,
      'exec "$0" "$@"',
    ];
    const wrapper = ["unshare", "--net", "--mount", "sh", "-c", commands.join(" && ")];
    const file = `${host.folder}/document.json`;
    await Deno.writeTextFile(file, textOf("topology-one-lan.json"));
    const args = ["apply", file, ...host.flags(), ...flags];

    const preview = await execute([...args, "--dry-run", "--json"], { wrapper });
    const obstacle = `subnet ${subnet} of ${name} ${conflict}`;
    const advice = conflict?.includes("by network") ? "remove it, or choose" : "choose";
    const obstacles = conflict === null ? [] : [`${obstacle}: ${advice} another subnet`];
    assert.deepEqual(JSON.parse(preview.stdout).obstacles, obstacles, preview.stderr);
    assert.equal(preview.code, conflict === null ? 0 : 2);
    const { code, stderr } = await execute(args, { wrapper });
    if (conflict === null) {
      // 1 is for a master that refuses heartbeats.
      assert.equal(code, flags.length > 0 ? 1 : 0, stderr);
      assert.ok(engine.networks.some(({ Name }) => Name === name));
    } else {
      assert.equal(code, 2);
      assert.ok(stderr.startsWith(`decnet-agent: ${obstacles[0]}\n`), stderr);
      assert.deepEqual(engine.changes, []);
    }
  });
}
