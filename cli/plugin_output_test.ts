import assert from "node:assert/strict";
import type { Beat } from "../agent/mod.ts";
import { AgentSetup } from "../tests/agent_setup.ts";
import { flagsOf, runOn } from "../tests/command_line.ts";
import { readPluginOutput } from "../tests/plugin_output.ts";
import {
  applied,
  beatWith,
  consistent,
  deliveries,
  dockerDown,
  storeUnreadable,
} from "../tests/sample_beat.ts";
import { driftKinds } from "../topology/mod.ts";
import { findingsOf } from "./findings.ts";
import { failureText, onceText } from "./once_text.ts";

const nasty = "a\nb'c|d=1;e\x1b[31m\u2028 'f'=2s";
const name = "x".repeat(255);
const many = Array.from({ length: 100 }, () => ({ type: "container", name, detail: "" }) as const);

Deno.test("onceText() keeps to the guidelines for plugins, whatever its strings hold", () => {
  const everything = Object.fromEntries(driftKinds.map((kind) => [kind, many]));
  const beats: Record<string, Beat> = {
    "all is well": beatWith(),
    "nothing answers": beatWith({
      stock: { ...dockerDown, ...storeUnreadable },
      delivery: deliveries.unreachable,
    }),
    "a name of any kind": beatWith({
      stock: {
        store: { state: "ok", applied: { ...applied, topologyId: nasty, versionHash: nasty } },
      },
    }),
    "an error of any kind": beatWith({
      stock: { observed: { error: nasty }, engine: null },
      delivery: { ...deliveries.rejected, error: nasty },
      certificates: { expiresAt: 1, problem: nasty },
    }),
    "a recorded error of any kind": beatWith({
      stock: { store: { state: "ok", applied: { ...applied, lastError: nasty } } },
    }),
    "much drift": beatWith({
      stock: { drift: { ...consistent, ...everything, state: "drifted" } },
    }),
  };
  for (const [what, beat] of Object.entries(beats)) {
    const printed = `${onceText(beat, findingsOf(beat))}\n`;
    const { service } = assertDoesNotThrow(() => readPluginOutput(printed), `${what}: ${printed}`);
    assert.equal(service, "DECNET");
  }
  assert.deepEqual(readPluginOutput(`${failureText(nasty)}\n`).figures, []);
});

Deno.test("onceText() gives counts without a unit, and times in seconds", () => {
  const beat = beatWith();
  const { figures } = readPluginOutput(`${onceText(beat, findingsOf(beat))}\n`);
  assert.deepEqual(figures, [
    { label: "networks", value: 2, unit: "" },
    { label: "containers", value: 1, unit: "" },
    { label: "drift", value: 0, unit: "" },
    { label: "docker", value: 0.012, unit: "s" },
    { label: "master", value: 0.035, unit: "s" },
  ]);
});

Deno.test("run() --once prints what the guidelines for plugins allow, with each exit code", async () => {
  await using setup = await AgentSetup.create();
  setup.apply();
  const flags = flagsOf(setup);
  const words = ["OK", "WARNING", "CRITICAL", "UNKNOWN"];
  const check = async (code: number, ...args: string[]) => {
    const ended = await runOn(["--once", ...flags, ...args]);
    assert.equal(ended.code, code);
    assert.equal(readPluginOutput(ended.stdout).status, words[code]);
  };
  await check(0);
  setup.engine.containers = [];
  await check(1);
  setup.master.answer = { status: 403, body: nasty };
  await check(2);
  await check(3, `--interval=${nasty}`);
});

function assertDoesNotThrow<T>(read: () => T, message: string): T {
  try {
    return read();
  } catch (error) {
    assert.fail(`${(error as Error).message} in ${message}`);
  }
}
