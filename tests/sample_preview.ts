/** What an apply would do, for tests of how it is shown. */

import type { Preview } from "../apply/mod.ts";
import { decky, lan, topology } from "./sample_topology.ts";
import {
  defaultImages,
  type Inventory,
  type NetworkFact,
  type Plan,
  planTopology,
} from "../topology/mod.ts";
import { type Changes, findChanges } from "../topology/changes/mod.ts";

const nothing: Changes = { networks: [], containers: [], obstacles: [] };

/** Two LANs; a decky on both with two services, one with none. */
export const larger = await planTopology(
  topology({
    lans: [lan("dmz"), lan("Office", { subnet: "10.0.1.0/24", isDmz: false })],
    deckies: [
      decky("gate", {
        addresses: { dmz: "10.0.0.2", Office: "10.0.1.2" },
        services: ["ssh", "http"],
        images: { http: "nginx:1.27" },
      }),
      decky("desk", { addresses: { Office: "10.0.1.3" } }),
    ],
  }),
  defaultImages,
);

/** What an apply of a plan would do where so much exists, and all images. */
export function previewOf(plan: Plan, inventory: Inventory, more: Partial<Preview> = {}): Preview {
  const imageIds = new Map(plan.containers.map(({ request }) => [request.Image, "sha256:1"]));
  const changes = findChanges(plan, inventory, { imageIds, hostAddresses: [] });
  return { removals: nothing, changes, imageIds, conflict: null, ...more };
}

/** What an apply of a plan has made. */
export function made(plan: Plan): Inventory {
  return {
    networks: plan.networks.map(({ name, subnet, internal, request }): NetworkFact => ({
      id: name,
      name,
      driver: "bridge",
      internal,
      subnets: [subnet],
      labels: new Map(Object.entries(request.Labels)),
    })),
    containers: plan.containers.map(({ name, base, addressByNetwork, request }) => ({
      id: name,
      name,
      state: "running",
      unhealthy: false,
      uptime: null,
      labels: new Map(Object.entries(request.Labels)),
      networkMode: base === null ? "" : `container:${base}`,
      addressByNetwork,
    })),
  };
}
