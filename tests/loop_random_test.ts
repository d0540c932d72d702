import assert from "node:assert/strict";
import { AgentSetup, document, topologyId, versionHash } from "./agent_setup.ts";
import { randomNumbers } from "./answer_streams.ts";
import { container, FakeEngine, type Fault, network } from "./engine/mod.ts";
import { until, WatchedLoop } from "./watched_loop.ts";
import type { Beat } from "../agent/mod.ts";
import { asWriter } from "./store_writer.ts";

const names = [
  "decnet-a",
  "decnet-b",
  "decnet_t_1_c",
  "decnet_t_11111111_decky-001",
  "shop",
  "web",
];
const states = ["running", "running", "exited", "paused", "created"] as const;
const nets = ["decnet_t_1_lan", "decnet_t_11111111_lan-00", "shop_default"];
const faults: (Fault | undefined)[] = [
  { kind: "reset", path: "/events" },
  { kind: "status", status: 500, message: "down" },
  { kind: "hang-body", path: "/events" },
  { kind: "slow", bytesPerSecond: 20_000 },
  undefined,
  undefined,
];

/** What a beat says, without what differs each time. */
function saying({ body: { topology, ...rest } }: Beat): string {
  return JSON.stringify({ ...rest, topology: topology && { ...topology, applied_at: 0 } });
}

async function pause(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
}

/** A host that changes at random, and is listened to. */
class Host {
  engine: FakeEngine;
  readonly did: string[] = [];
  /** A stream that ends often is asked for with more and more patience. */
  #cuts = 3;
  readonly #setup: AgentSetup;
  readonly #random: () => number;

  constructor(setup: AgentSetup, random: () => number) {
    this.#setup = setup;
    this.#random = random;
    this.engine = setup.engine;
  }

  pick<T>(of: readonly T[]): T {
    return of[Math.floor(this.#random() * of.length)]!;
  }

  async change(): Promise<void> {
    const { engine } = this;
    const draw = this.#random();
    if (draw < 0.5) {
      const name = this.pick(names);
      const rest = engine.containers.filter(({ Names }) => Names[0] !== `/${name}`);
      const isGone = this.#random() < 0.3;
      const state = this.pick(states);
      engine.containers = isGone ? rest : [...rest, { ...container({ name }), State: state }];
      this.did.push(`${name} ${isGone ? "gone" : state}`);
    } else if (draw < 0.65) {
      const name = this.pick(nets);
      const rest = engine.networks.filter(({ Name }) => Name !== name);
      engine.networks = rest.length < engine.networks.length ? rest : [...rest, network({ name })];
      this.did.push(name);
    } else if (draw < 0.8) {
      const is = this.pick(["put", "clear", "error"]);
      await asWriter(this.#setup.storePath, (store) => {
        if (is === "put") store.put(topologyId, versionHash, document);
        else if (is === "clear") store.clear(topologyId);
        else store.recordError(topologyId, `error ${this.did.length}`);
      });
      this.did.push(is);
    } else if (draw < 0.9) {
      engine.fault = this.pick(faults);
      this.did.push(JSON.stringify(engine.fault));
    } else if (this.#cuts > 0) {
      this.#cuts--;
      if (this.#random() < 0.5) {
        engine.events.cut();
        this.did.push("cut");
      } else {
        const { containers, networks, socketPath } = engine;
        await engine.stop();
        this.engine = await FakeEngine.start(socketPath);
        Object.assign(this.engine, { containers, networks });
        this.did.push("restart");
      }
    }
    await pause(this.pick([0, 20, 110, 400, 7_000]));
  }
}

/** Lets a host change, and waits until the loop's last beat says what a look of one's own says. */
async function check(seed: number): Promise<void> {
  await using setup = await AgentSetup.create();
  setup.changeStore((store) => store.put(topologyId, versionHash, document));
  const host = new Host(setup, randomNumbers(seed * 1_000_003));
  await using loop = new WatchedLoop(setup);
  await until(() => loop.beats.length > 0 && setup.engine.events.count === 1);
  // While looks still follow a hint, they would find what another one was lost for.
  await pause(7_000);
  for (let changes = seed % 5; changes >= 0; changes--) await host.change();
  host.engine.fault = undefined;
  const startedAt = performance.now();
  const agent = setup.newAgent();
  try {
    for (;;) {
      const truth = await agent.beat(new AbortController().signal, { dryRun: true });
      const [is, told] = [truth, loop.beats.at(-1)].map((it) => it && saying(it));
      if (is === told) break;
      // A stream that is refused three times in a row is asked for again after 8 s.
      const isLate = performance.now() - startedAt > 30_000;
      assert.ok(!isLate, `seed ${seed}: ${told}\nis ${is}\nafter ${host.did.join("; ")}`);
      await pause(100);
    }
  } finally {
    agent.close();
    await host.engine.stop();
  }
}

Deno.test("the loop's last beat tells the truth, whatever happened in whatever order", async () => {
  await Promise.all(Array.from({ length: 30 }, (_, seed) => check(seed)));
});
