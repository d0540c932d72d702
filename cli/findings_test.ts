import assert from "node:assert/strict";
import {
  applied,
  beatWith,
  consistent,
  deliveries,
  dockerDown,
  storeUnreadable,
} from "../tests/sample_beat.ts";
import { worst } from "./exit.ts";
import { findingsOf } from "./findings.ts";

type Sample = Parameters<typeof beatWith>[0];

const drifted = {
  ...consistent,
  state: "drifted",
  stopped: [{ type: "container", name: "c", detail: "exited" }],
} as const;
const store = (change: Partial<typeof applied>) =>
  ({ state: "ok", applied: { ...applied, ...change } }) as const;

Deno.test("findingsOf() gives each finding its code", () => {
  const cases: [what: string, sample: Sample, findings: [code: number, text: string][]][] = [
    ["all is well", {}, []],
    ["idle", { stock: { store: { state: "idle" } } }, []],
    ["a dry run", { delivery: deliveries.dryRun }, []],
    ["no master", { delivery: deliveries.notConfigured, certificates: null }, []],
    ["drift", { stock: { drift: drifted } }, [[1, "stopped c (exited)"]]],
    [
      "drift on an idle host",
      { stock: { store: { state: "idle" }, drift: drifted } },
      [[1, "stopped c (exited)"]],
    ],
    [
      "no document",
      { stock: { drift: { state: "unknown", detail: "the store holds no document" } } },
      [[1, "drift unknown: the store holds no document"]],
    ],
    ["an error", { stock: { store: store({ lastError: "boom" }) } }, [[
      1,
      "the last apply or teardown failed: boom",
    ]]],
    ["an empty error", { stock: { store: store({ lastError: "" }) } }, [[
      1,
      "the last apply or teardown failed: ",
    ]]],
    [
      "two rows",
      { stock: { store: store({ hasOlderRows: true }) } },
      [[1, "the store holds more than one row; the newest counts"]],
    ],
    ["a certificate", { certificates: { expiresAt: 1, problem: "expires soon" } }, [[
      1,
      "expires soon",
    ]]],
    ["Docker down", { stock: dockerDown }, [[2, "Docker is down"]]],
    ["the master gone", { delivery: deliveries.unreachable }, [[2, "the master is gone"]]],
    ["a refusal", { delivery: deliveries.rejected }, [[2, "the master said no"]]],
    [
      "no certificates",
      { delivery: deliveries.notSent, certificates: { expiresAt: null, problem: "no worker.crt" } },
      [[3, "no worker.crt"]],
    ],
    ["no store", { stock: storeUnreadable }, [[3, "the store is garbage"]]],
  ];
  for (const [what, sample, expected] of cases) {
    const findings = findingsOf(beatWith(sample)).map(({ code, text }) => [code, text]);
    assert.deepEqual(findings, expected, what);
  }
});

Deno.test("findingsOf() tells warnings of the configuration after those of the beat", () => {
  const warned = (sample: Sample) =>
    findingsOf(beatWith(sample), ["key a", "key b"]).map(({ code, text }) => [code, text]);
  assert.deepEqual(warned({}), [[1, "key a"], [1, "key b"]]);
  assert.deepEqual(warned({ delivery: deliveries.rejected, stock: { drift: drifted } }), [
    [2, "the master said no"],
    [1, "stopped c (exited)"],
    [1, "key a"],
    [1, "key b"],
  ]);
});

Deno.test("findingsOf() puts the worst first, and worst() is its code", () => {
  const all = findingsOf(beatWith({
    stock: { ...dockerDown, store: store({ lastError: "boom", hasOlderRows: true }) },
    delivery: deliveries.rejected,
    certificates: { expiresAt: 1, problem: "expires soon" },
  }));
  assert.deepEqual(all.map(({ code }) => code), [2, 2, 1, 1, 1]);
  assert.equal(worst(all), 2);
  const unreadable = findingsOf(beatWith({
    stock: { ...dockerDown, ...storeUnreadable },
    delivery: deliveries.unreachable,
  }));
  assert.deepEqual(unreadable.map(({ code }) => code), [3, 2, 2]);
  assert.equal(worst(unreadable), 3);
  assert.equal(worst([]), 0);
});
