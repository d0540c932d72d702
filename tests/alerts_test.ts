import assert from "node:assert/strict";
import { metricsText } from "../cli/metrics.ts";
import { promtool } from "./promtool.ts";
import { beatWith } from "./sample_beat.ts";

const read = (path: string) => Deno.readTextFileSync(new URL(path, import.meta.url));
const pathOf = (path: string) => new URL(path, import.meta.url).pathname;

const beats = new Map([["delivered", 1]] as const);
const loop = { startedAt: 1, lastSuccessAt: 1, beats, isListening: true };
/** Name, and type, of each metric that there is. */
const metrics = new Map(
  [...metricsText(beatWith(), { code: 0, loop }).matchAll(/^# TYPE (\S+) (\S+)$/gm)]
    .map(([, name, type]) => [name!, type!]),
);

const alerts = [...read("../docs/alerts.yml").matchAll(/- alert: (\w+)/g)].map(([, it]) => it!);

Deno.test({
  name: `promtool finds nothing wrong with docs/alerts.yml${promtool.suffix}`,
  ignore: promtool.ignore,
  fn: async () => {
    promtool.check();
    await promtool.run(["check", "rules", pathOf("../docs/alerts.yml")]);
  },
});

Deno.test({
  name:
    `each alert of docs/alerts.yml fires when it is due, and none when all is well${promtool.suffix}`,
  ignore: promtool.ignore,
  fn: async () => {
    promtool.check();
    assert.ok(alerts.length > 0);
    await promtool.run(["test", "rules", pathOf("data/alerts-cases.yml")]);
    const cases = read("data/alerts-cases.yml");
    for (const name of alerts) assert.ok(cases.includes(`alertname="${name}"`), name);
  },
});

Deno.test("docs/monitoring.md lists all alerts, and no others", () => {
  const listed = read("../docs/monitoring.md").matchAll(/^\| `(DecnetAgent\w+)` +\|/gm);
  assert.deepEqual([...listed].map(([, name]) => name), alerts);
});

Deno.test("docs/alerts.yml asks for metrics that there are", () => {
  const asked = new Set(read("../docs/alerts.yml").match(/decnet_agent_\w+/g));
  assert.ok(asked.size > 0);
  for (const name of asked) assert.ok(metrics.has(name), name);
});

Deno.test("docs/protocol.md lists all metrics with their types, and no others", () => {
  const section = read("../docs/protocol.md").split(/^## /m).find((it) =>
    it.startsWith("Metrics")
  )!;
  const listed = [...section.matchAll(/^\| `(\w+)(?:\{[^`]*\})?` +\| (gauge|counter) +\|/gm)]
    .map(([, name, type]) => [`decnet_agent_${name}`, type!] as const);
  assert.deepEqual(new Map(listed), metrics);
});
