import assert from "node:assert/strict";
import type { ContainerInfo, NetworkInfo } from "../topology/inventory.ts";
import { readContainers, readImageLabels, readNetworks, readUptime } from "./lists.ts";

type Change = Record<string, unknown>;

const id = "0123456789abcdef".repeat(4);
const networkItem = {
  Name: "decnet_t_1_lan",
  Id: "ab12",
  Driver: "bridge",
  Internal: true,
  IPAM: { Driver: "default", Options: null, Config: [{ Subnet: "10.0.0.0/24" }] },
  Labels: { "decnet.topology.id": "1" },
};
const network: NetworkInfo = {
  id: "ab12",
  name: "decnet_t_1_lan",
  driver: "bridge",
  internal: true,
  subnets: ["10.0.0.0/24"],
  labels: new Map([["decnet.topology.id", "1"]]),
};
const containerItem = {
  Id: id,
  Names: ["/decnet_t_1_web"],
  State: "running",
  Status: "Up 2 minutes",
  Labels: { "decnet.topology.id": "1", empty: "" },
  Image: "debian",
  ImageID: "sha256:1",
  HostConfig: { NetworkMode: "decnet_t_1_lan" },
  Ports: [
    { IP: "0.0.0.0", PrivatePort: 22, PublicPort: 22, Type: "tcp" },
    { IP: "::", PrivatePort: 22, PublicPort: 22, Type: "tcp" },
    { IP: "0.0.0.0", PrivatePort: 53, PublicPort: 53, Type: "udp" },
    { PrivatePort: 80, Type: "tcp" },
    { IP: "0.0.0.0", PrivatePort: 7, PublicPort: 7, Type: "sctp" },
  ],
  NetworkSettings: { Networks: { decnet_t_1_lan: { IPAddress: "10.0.0.5" } } },
};
const container: ContainerInfo = {
  id,
  name: "decnet_t_1_web",
  state: "running",
  unhealthy: false,
  uptime: { atLeast: 120, atMost: 180 },
  labels: new Map([["decnet.topology.id", "1"], ["empty", ""]]),
  image: "debian",
  imageId: "sha256:1",
  networkMode: "decnet_t_1_lan",
  publishedPorts: ["22/tcp", "53/udp"],
  addressByNetwork: new Map([["decnet_t_1_lan", "10.0.0.5"]]),
};

const networks: [name: string, change: Change, expected: Partial<NetworkInfo>][] = [
  ["all fields", {}, {}],
  ["unknown fields", { ClientVerifier: [{ IP: 1 }], ConfigOnly: "?" }, {}],
  ["no labels", { Labels: undefined }, { labels: new Map() }],
  ["labels of null", { Labels: null }, { labels: new Map() }],
  ["no IPAM", { IPAM: undefined }, { subnets: [] }],
  ["an IPAM of null", { IPAM: null }, { subnets: [] }],
  ["pools of null", { IPAM: { Driver: "default", Config: null } }, { subnets: [] }],
  ["a pool without a subnet", { IPAM: { Config: [{ Gateway: "10.0.0.1" }] } }, { subnets: [""] }],
  ["two pools", { IPAM: { Config: [{ Subnet: "10.0.0.0/24" }, { Subnet: "fd00::/64" }] } }, {
    subnets: ["10.0.0.0/24", "fd00::/64"],
  }],
  ["a pool of everything", { IPAM: { Config: [{ Subnet: "0.0.0.0/0" }, { Subnet: "::/0" }] } }, {
    subnets: [],
  }],
  ["a driver that gives no addresses", {
    IPAM: { Driver: "null", Config: [{ Subnet: "10.0.0.0/24" }] },
  }, { subnets: [] }],
  ["the configuration of others alone", { ConfigOnly: true }, { subnets: [] }],
  ["no word on being internal", { Internal: undefined }, { internal: false }],
  ["another driver", { Driver: "macvlan" }, { driver: "macvlan" }],
  ["a label like a built-in property", { Labels: JSON.parse('{"__proto__":"x"}') }, {
    labels: new Map([["__proto__", "x"]]),
  }],
];
for (const [name, change, expected] of networks) {
  Deno.test(`readNetworks() reads a network with ${name}`, () => {
    assert.deepEqual(readNetworks([{ ...networkItem, ...change }]), [{ ...network, ...expected }]);
  });
}

const containers: [name: string, change: Change, expected: Partial<ContainerInfo>][] = [
  ["all fields", {}, {}],
  ["unknown fields", { Health: { Status: "healthy" }, Mounts: 7 }, {}],
  ["ports of null, as of an engine that lists none", { Ports: null }, { publishedPorts: [] }],
  ["a legacy link before its name", { Names: ["/other/alias", "/web"] }, { name: "web" }],
  ["a legacy link after its name", { Names: ["/web", "/other/alias"] }, { name: "web" }],
  ["a name without a slash", { Names: ["web"] }, { name: "web" }],
  ["an end that is not cleaned up yet", { State: "stopped" }, { state: "exited" }],
  ["no name, as it is dead", { Names: [], State: "dead" }, { name: "0123456789ab", state: "dead" }],
  ["names of null", { Names: null }, { name: "0123456789ab" }],
  ["no labels", { Labels: undefined }, { labels: new Map() }],
  ["labels of null", { Labels: null }, { labels: new Map() }],
  ["no image", { Image: undefined, ImageID: undefined }, { image: "", imageId: "" }],
  ["no HostConfig, as of Podman", { HostConfig: undefined }, { networkMode: "" }],
  ["an empty host configuration", { HostConfig: {} }, { networkMode: "" }],
  ["another's network", { HostConfig: { NetworkMode: `container:${id}` } }, {
    networkMode: `container:${id}`,
  }],
  ["no network settings", { NetworkSettings: undefined }, { addressByNetwork: new Map() }],
  ["network settings of null", { NetworkSettings: null }, { addressByNetwork: new Map() }],
  ["networks of null", { NetworkSettings: { Networks: null } }, { addressByNetwork: new Map() }],
  ["an endpoint of null", { NetworkSettings: { Networks: { lan: null } } }, {
    addressByNetwork: new Map([["lan", ""]]),
  }],
  ["an endpoint without an address", { NetworkSettings: { Networks: { lan: {} } } }, {
    addressByNetwork: new Map([["lan", ""]]),
  }],
  ["no status", { Status: undefined }, { uptime: null }],
  ["a health check that passes", { Status: "Up 2 minutes (healthy)" }, {}],
  [
    "a health check that starts",
    { Status: "Up 2 seconds (health: starting)" },
    { uptime: { atLeast: 2, atMost: 3 } },
  ],
  ["a health check that fails", { Status: "Up 2 minutes (unhealthy)" }, { unhealthy: true }],
];
for (const [name, change, expected] of containers) {
  Deno.test(`readContainers() reads a container with ${name}`, () => {
    assert.deepEqual(readContainers([{ ...containerItem, ...change }]), [
      { ...container, ...expected },
    ]);
  });
}

Deno.test("readNetworks() and readContainers() leave long labels out", () => {
  for (const [length, isKept] of [[256, true], [257, false], [200_000, false]] as const) {
    const Labels = { "decnet.topology.id": "x".repeat(length), other: "y" };
    const [network] = readNetworks([{ ...networkItem, Labels }]);
    const [container] = readContainers([{ ...containerItem, Labels }]);
    for (const { labels } of [network!, container!]) {
      assert.deepEqual([...labels.keys()], isKept ? ["decnet.topology.id", "other"] : ["other"]);
    }
  }
});

Deno.test("readImageLabels() reads the labels of images", () => {
  const images = [{ Id: "sha256:1", Labels: { a: "b" }, RepoTags: null }, {
    Id: "2",
    Labels: null,
  }];
  assert.deepEqual([...readImageLabels(images)], [
    ["sha256:1", new Map([["a", "b"]])],
    ["2", new Map()],
  ]);
  assert.throws(() => readImageLabels({}), new TypeError("images: not a list"));
  assert.throws(() => readImageLabels([{}]), new TypeError("image 0: Id: not a string"));
});

Deno.test("readNetworks() and readContainers() refuse what is no list of objects", () => {
  for (const answer of [null, undefined, {}, { message: "no" }, "[]", 7, true]) {
    assert.throws(() => readNetworks(answer), new TypeError("networks: not a list"));
    assert.throws(() => readContainers(answer), new TypeError("containers: not a list"));
  }
  for (const item of [null, "web", 7, []]) {
    assert.throws(() => readNetworks([item]), new TypeError("network 0: not an object"));
    assert.throws(() => readContainers([item]), new TypeError("container 0: not an object"));
  }
  assert.deepEqual([readNetworks([]), readContainers([])], [[], []]);
});

const wrongNetworks: [change: Change, message: string][] = [
  [{ Name: 7 }, "Name: not a string"],
  [{ Driver: null }, "Driver: not a string"],
  [{ IPAM: [] }, "IPAM: not an object"],
  [{ IPAM: { Config: {} } }, "IPAM.Config: not a list"],
  [{ IPAM: { Config: ["10.0.0.0/24"] } }, "IPAM.Config: not an object"],
  [{ IPAM: { Config: [null] } }, "IPAM.Config: not an object"],
  [{ IPAM: { Config: [{ Subnet: 10 }] } }, "Subnet: not a string"],
  [{ Labels: ["a=b"] }, "Labels: not an object"],
  [{ Labels: { a: 1 } }, "Labels: not a string"],
];
const wrongContainers: [change: Change, message: string][] = [
  [{ Id: undefined }, "Id: not a string"],
  [{ Id: 7, Names: [] }, "Id: not a string"],
  [{ Names: "web" }, "Names: not a list"],
  [{ Names: [7] }, "Names: not a string"],
  [{ State: undefined }, "State: not a string"],
  [{ Status: 7 }, "Status: not a string"],
  [{ Labels: "a=b" }, "Labels: not an object"],
  [{ Labels: { a: null } }, "Labels: not a string"],
  [{ Image: 7 }, "Image: not a string"],
  [{ ImageID: 7 }, "ImageID: not a string"],
  [{ HostConfig: "x" }, "HostConfig: not an object"],
  [{ HostConfig: { NetworkMode: 7 } }, "NetworkMode: not a string"],
  [{ NetworkSettings: [] }, "NetworkSettings: not an object"],
  [{ NetworkSettings: { Networks: [] } }, "Networks: not an object"],
  [{ NetworkSettings: { Networks: { lan: "x" } } }, "Networks: not an object"],
  [{ NetworkSettings: { Networks: { lan: { IPAddress: 7 } } } }, "IPAddress: not a string"],
];
Deno.test("readNetworks() and readContainers() name what is wrong, and where", () => {
  for (const [change, message] of wrongNetworks) {
    const items = [networkItem, { ...networkItem, ...change }];
    assert.throws(() => readNetworks(items), new TypeError(`network 1: ${message}`));
  }
  for (const [change, message] of wrongContainers) {
    const items = [containerItem, { ...containerItem, ...change }];
    assert.throws(() => readContainers(items), new TypeError(`container 1: ${message}`));
  }
});

const hour = 3600;
const day = 24 * hour;
const known: [status: string, atLeast: number, atMost: number][] = [
  ["Up Less than a second", 0, 1],
  ["Up 1 second", 1, 2],
  ["Up 59 seconds", 59, 60],
  ["Up About a minute", 60, 120],
  ["Up 59 minutes", 59 * 60, hour],
  ["Up 2 minutes (unhealthy)", 120, 180],
  ["Up 2 minutes (Paused)", 120, 180],
  ["Up About an hour", 0, 3 * hour],
  ["Up 47 hours", 46 * hour, 49 * hour],
  ["Up 3 days (health: starting)", 3 * day - hour, 4 * day + hour],
  ["Up 2 weeks", 14 * day - hour, 21 * day + hour],
  ["Up 2 months", 60 * day - hour, 90 * day + hour],
  ["Up 2 years", 730 * day - hour, 1095 * day + hour],
];

Deno.test("readUptime() reads what the engine says of a running container", () => {
  for (const [status, atLeast, atMost] of known) {
    assert.deepEqual(readUptime(status), { atLeast, atMost }, status);
  }
});

const unknown = ["", "Created", "Exited (0) 3 minutes ago", "Restarting (1) 5 seconds ago", "Dead"]
  .concat("Up", "Up ", "Up 3", "Up 3 fortnights", "Up 3 minutes more", "up 3 minutes");

Deno.test("readUptime() returns null for anything else", () => {
  for (const status of unknown) assert.equal(readUptime(status), null, status);
});
