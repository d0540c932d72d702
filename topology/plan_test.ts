import assert from "node:assert/strict";
import { readTopology } from "./document.ts";
import { planTopology } from "./plan.ts";

const planOf = (name: string) =>
  planTopology(
    readTopology(Deno.readTextFileSync(new URL(`../tests/data/${name}`, import.meta.url))),
  );

Deno.test("planTopology() plans one LAN", () => {
  assert.deepEqual(planOf("topology-one-lan.json"), {
    topologyId: "11111111-2222-3333-4444-555555555555",
    networks: [{ name: "decnet_t_11111111_lan-00", subnet: "10.0.0.0/24", internal: false }],
    containers: [
      {
        name: "decnet_t_11111111_decky-001",
        addressByNetwork: new Map([["decnet_t_11111111_lan-00", "10.0.0.2"]]),
        base: null,
      },
      {
        name: "decnet_t_11111111_decky-001-ssh",
        addressByNetwork: new Map(),
        base: "decnet_t_11111111_decky-001",
      },
    ],
  });
});

Deno.test("planTopology() plans several LANs, deckies on two of them and several services", () => {
  const { networks, containers } = planOf("topology-three-lans.json");
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

Deno.test("planTopology() lower-cases the LANs and nothing else", () => {
  const plan = planTopology({
    id: "ABCDEFGH-rest",
    lans: [{ name: "Office.LAN", subnet: "10.1.0.0/16", isDmz: false }],
    deckies: [{
      name: "Web",
      services: ["HTTP"],
      addressByLan: new Map([["Office.LAN", "10.1.0.9"]]),
    }],
  });
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

Deno.test("planTopology() takes a short id as it is, and nothing from an empty topology", () => {
  const lan = { name: "a", subnet: "10.1.0.0/16", isDmz: true };
  assert.equal(
    planTopology({ id: "abc", lans: [lan], deckies: [] }).networks[0]?.name,
    "decnet_t_abc_a",
  );
  assert.deepEqual(planTopology({ id: "abc", lans: [], deckies: [] }), {
    topologyId: "abc",
    networks: [],
    containers: [],
  });
});
