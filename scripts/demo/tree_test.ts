import assert from "node:assert/strict";
import * as sample from "../../tests/support/inventory.ts";
import type { ContainerInfo, NetworkInfo } from "../../topology/inventory.ts";
import { treeOf } from "./tree.ts";

function network(name: string, subnet: string, internal: boolean): NetworkInfo {
  return { ...sample.network, id: name, name, internal, subnets: [subnet] };
}

function base(name: string, addresses: Record<string, string>): ContainerInfo {
  const addressByNetwork = new Map(Object.entries(addresses));
  return {
    ...sample.baseContainer,
    id: `id of ${name}`,
    name,
    labels: new Map(),
    addressByNetwork,
  };
}

function service(name: string, decky: string, state = "running"): ContainerInfo {
  const labels = new Map([["decnet.topology.service_name", name]]);
  const networkMode = `container:id of ${decky}`;
  return { ...base(`${decky}-${name}`, {}), labels, networkMode, state };
}

Deno.test("treeOf() shows each LAN with its deckies, their addresses and their services", () => {
  const networks = [
    network("p_office", "10.0.1.0/24", true),
    network("p_a", "10.0.0.0/16", false),
  ];
  const containers = [
    service("http", "p_web", "exited"),
    service("ftp", "p_web"),
    base("p_web", { p_a: "10.0.0.2", p_office: "10.0.1.2" }),
    { ...base("p_db", { p_office: "" }), state: "created" },
  ];
  assert.deepEqual(treeOf({ networks, containers }, "p_"), [
    "p_…",
    "├─ a       10.0.0.0/16  DMZ",
    "│  └─ web  10.0.0.2  ftp, http (exited)",
    "└─ office  10.0.1.0/24  internal",
    "   ├─ db (created)",
    "   └─ web           10.0.1.2  ftp, http (exited)",
  ]);
  assert.deepEqual(treeOf({ networks: [], containers: [] }, "p_"), ["p_…"]);
});
