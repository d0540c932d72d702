import { container, FakeEngine, type Fault, network } from "../../tests/engine/mod.ts";
import type { Plan } from "../../topology/mod.ts";
import type { Subject } from "./ailment.ts";

/** How many containers of others run beside the topology. */
const strangers = 40;

const faults: Readonly<Record<string, Fault>> = {
  "Docker answers 500": { kind: "status", status: 500, message: "the daemon is out of sorts" },
  "Docker answers 500 to one list": {
    kind: "status",
    status: 500,
    message: "no containers today",
    path: "/containers",
  },
  "Docker talks garbage": { kind: "garbage" },
  "Docker cuts the connection": { kind: "reset" },
  "Docker ends in the middle": { kind: "truncated" },
  "Docker ends in the middle of a chunk": { kind: "truncated", chunked: true },
  "Docker answers what is not JSON": { kind: "body", body: "[{" },
  "Docker answers slowly": { kind: "slow", bytesPerSecond: 4_000_000 },
};

/** Starts an engine that runs what is planned: whether it answers, and what it runs. */
export async function openEngine(
  socketPath: string,
  plan: Plan,
  stack: AsyncDisposableStack,
): Promise<Subject[]> {
  const others = Array.from({ length: strangers }, (_, index) => {
    return container({ name: `stranger-${index}`, labels: { "com.example.owner": "somebody" } });
  });
  const networks = plan.networks.map(({ name, subnet, internal, request }) => {
    return network({ name, subnet, internal, labels: { ...request.Labels } });
  });
  const containersWith = (state: "running" | "exited", first: string, labels = {}) =>
    plan.containers.map(({ name, base, addressByNetwork, request }) =>
      container({
        name,
        image: request.Image,
        labels: { ...request.Labels, ...(name === first ? labels : {}) },
        state: name === first ? state : "running",
        ...(base === null
          ? { addresses: Object.fromEntries(addressByNetwork) }
          : { networkMode: `container:${base}` }),
      })
    );
  let engine: FakeEngine;
  const start = async () => {
    const started = await FakeEngine.start(socketPath);
    started.networks = networks;
    started.containers = [...others, ...containersWith("running", "")];
    return started;
  };
  engine = await start();
  stack.defer(() => engine.stop());
  const strike = async (fault: Fault | undefined) => {
    if (!isUp) {
      const { containers } = engine;
      engine = await start();
      engine.containers = containers;
    }
    isUp = true;
    engine.fault = fault;
  };
  let isUp = true;
  const run = (containers: typeof engine.containers) => {
    engine.containers = [...others, ...containers];
  };
  const first = plan.containers[0]!.name;
  const extra = container({ name: "decnet_t_unheard-of" });
  return [{
    linesPerChange: 1,
    well: { name: "Docker answers", begin: () => strike(undefined) },
    unwell: [
      ...Object.entries(faults).map(([name, fault]) => ({ name, begin: () => strike(fault) })),
      {
        name: "Docker is stopped",
        begin: async () => {
          isUp = false;
          await engine.stop();
        },
      },
      { name: "Docker hangs", onceIn: 3_900, begin: () => strike({ kind: "hang" }) },
      { name: "Docker hangs half-way", onceIn: 4_100, begin: () => strike({ kind: "hang-body" }) },
    ],
  }, {
    linesPerChange: 1,
    well: { name: "all runs", begin: () => run(containersWith("running", "")) },
    unwell: [
      { name: "a container has stopped", begin: () => run(containersWith("exited", first)) },
      { name: "containers are gone", begin: () => run([]) },
      {
        name: "a container too many",
        begin: () => run([...containersWith("running", ""), extra]),
      },
      {
        name: "a container has changed",
        begin: () =>
          run(containersWith("running", first, { "decnet.topology.spec": "of another time" })),
      },
    ],
  }];
}
