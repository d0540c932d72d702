import assert from "node:assert/strict";
import { seededRandom } from "../../scripts/random_document.ts";
import { Dice, randomTopology, strangers, together, worn } from "../../tests/random_inventory.ts";
import { id, imagesOf } from "../../tests/sample_plan.ts";
import { carryOut } from "../../tests/simulated_changes.ts";
import { findDrift } from "../drift.ts";
import {
  type ContainerFact,
  type Inventory,
  type NetworkFact,
  specLabel,
  topologyLabel,
} from "../inventory.ts";
import { defaultImages, type Plan, planTopology } from "../plan.ts";
import { type Changes, findChanges } from "./changes.ts";
import { findRemovals } from "./removals.ts";

type Fact = NetworkFact | ContainerFact;

/** A plan, and what exists before it is applied. */
interface Round {
  readonly plan: Plan;
  readonly existing: Inventory;
  /** The part of it that belongs to others. */
  readonly foreign: Inventory;
  readonly imageIds: ReadonlyMap<string, string | null>;
}

/** Host after host, as many as there are seeds, each of which gives the same host each time. */
async function forEachHost(
  { kind, seeds = 400 }: { kind: "alone" | "beside others" | "obstructed"; seeds?: number },
  check: (round: Round) => void,
): Promise<void> {
  for (let seed = 1; seed <= seeds; seed++) {
    const dice = new Dice(seededRandom(seed));
    const plan = await planTopology(randomTopology(dice), defaultImages);
    const before = dice.isOneIn(2) ? plan : await planTopology(randomTopology(dice), defaultImages);
    const foreign = kind === "alone"
      ? { networks: [], containers: [] }
      : strangers(plan, dice, kind === "obstructed");
    const existing = together(worn(before, dice), foreign);
    try {
      check({ plan, existing, foreign, imageIds: imagesOf(plan) });
    } catch (error) {
      throw new Error(`seed ${seed}: ${(error as Error).message}`, { cause: error });
    }
  }
}

function changesOf({ plan, imageIds }: Round, existing: Inventory): Changes {
  return findChanges(plan, existing, { imageIds, hostAddresses: [] });
}

function touched({ networks, containers }: Changes): Fact[] {
  return [...networks, ...containers].flatMap((it) => "fact" in it ? [it.fact] : []);
}

function assertUntouched({ foreign }: Round, changes: Changes): void {
  const theirs = new Set<Fact>([...foreign.networks, ...foreign.containers]);
  const names = touched(changes).filter((fact) => theirs.has(fact)).map(({ name }) => name);
  assert.deepEqual(names, []);
}

function isOurs({ labels }: Fact): boolean {
  return labels.get(topologyLabel) === id;
}

/** Whether something of ours has lost its label, and so may look like somebody else's. */
function hasBare({ networks, containers }: Inventory): boolean {
  return [...networks, ...containers].some(({ name, labels }) =>
    name.startsWith("decnet_t_") && labels.size === 0
  );
}

Deno.test("findChanges() leads from any state to one where there is nothing to change", async () => {
  let count = 0;
  await forEachHost({ kind: "beside others" }, (round) => {
    const { plan, existing, imageIds } = round;
    const changes = changesOf(round, existing);
    assertUntouched(round, changes);
    if (changes.obstacles.length > 0) {
      assert.ok(hasBare(existing), changes.obstacles.join("\n"));
      return;
    }
    count++;
    const after = carryOut(changes, existing, imageIds);
    assert.deepEqual(changesOf(round, after), { networks: [], containers: [], obstacles: [] });
    const { missing, stopped, changed } = findDrift(plan, after);
    assert.deepEqual({ missing, stopped, changed }, { missing: [], stopped: [], changed: [] });
    for (const it of [...round.foreign.networks, ...round.foreign.containers] as Fact[]) {
      assert.ok([...after.networks, ...after.containers].includes(it as never));
    }
  });
  assert.ok(count > 200, `only ${count} hosts were without obstacles`);
});

Deno.test("findChanges() never touches what belongs to others, whatever is in the way", async () => {
  let count = 0;
  await forEachHost({ kind: "obstructed" }, (round) => {
    const changes = changesOf(round, round.existing);
    assertUntouched(round, changes);
    if (changes.obstacles.length > 0) return void count++;
    // It was in nobody's way after all, and so is not when the changes are made.
    const after = carryOut(changes, round.existing, round.imageIds);
    assert.deepEqual(changesOf(round, after).obstacles, []);
  });
  assert.ok(count > 200, `only ${count} hosts had obstacles`);
});

Deno.test("findRemovals() leaves nothing of ours, and all that belongs to others", async () => {
  await forEachHost({ kind: "beside others" }, (round) => {
    const { plan, existing, foreign, imageIds } = round;
    for (const wasApplied of [true, false]) {
      for (const known of [plan, null]) {
        const removals = findRemovals({ topologyId: id, plan: known, wasApplied }, existing);
        assertUntouched(round, removals);
        if (removals.obstacles.length > 0) {
          assert.ok(hasBare(existing), removals.obstacles.join("\n"));
          continue;
        }
        const after = carryOut(removals, existing, imageIds);
        const left = [...after.networks, ...after.containers] as Fact[];
        assert.deepEqual(left.filter(isOurs), []);
        for (const it of [...foreign.networks, ...foreign.containers] as Fact[]) {
          assert.ok(left.includes(it), it.name);
        }
        const isMadeByUs = ([...existing.networks, ...existing.containers] as Fact[]).some((it) =>
          isOurs(it) && it.labels.has(specLabel)
        );
        if (!wasApplied || known === null || isMadeByUs) continue;
        const names = new Set([...plan.networks, ...plan.containers].map(({ name }) => name));
        assert.deepEqual(left.filter(({ name }) => names.has(name)), []);
      }
    }
  });
});

Deno.test("findChanges() and findRemovals() see no obstacle where nothing is foreign", async () => {
  await forEachHost({ kind: "alone" }, (round) => {
    const { plan, existing } = round;
    if (hasBare(existing)) return;
    assert.deepEqual(changesOf(round, existing).obstacles, []);
    const removals = findRemovals({ topologyId: id, plan, wasApplied: true }, existing);
    assert.deepEqual(removals.obstacles, []);
    assert.deepEqual(
      new Set(touched(removals)),
      new Set([...existing.networks, ...existing.containers].filter(isOurs)),
    );
  });
});
