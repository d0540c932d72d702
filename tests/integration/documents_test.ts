import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { metricsText } from "../../cli/metrics.ts";
import { heartbeatWith } from "../support/heartbeat.ts";
import { readPluginOutput } from "../support/plugin_output.ts";
import { promtool } from "../support/requirements.ts";

const root = new URL("../../", import.meta.url);
const read = (path: string) => Deno.readTextFileSync(new URL(path, root));
const pathOf = (path: string) => new URL(path, root).pathname;

const heartbeats = new Map([["delivered", 1]] as const);
const loop = { startedAt: 1, lastSuccessAt: 1, heartbeats, isListening: true };
const counts = { sent: 1, heldBack: 1, cut: 1, gaps: 1, followed: 1 };
const logs = { at: 1, ...counts, behindSince: null, problem: null };
/** The type of each metric, by name. */
const metrics = new Map(
  [...metricsText(heartbeatWith(), { code: 0, loop, logs }).matchAll(/^# TYPE (\S+) (\S+)$/gm)]
    .map(([, name, type]) => [name!, type!]),
);

const alerts = [...read("docs/alerts.yml").matchAll(/- alert: (\w+)/g)].map(([, it]) => it!);

promtool.test("promtool finds nothing wrong with docs/alerts.yml", async () => {
  await promtool.run(["check", "rules", pathOf("docs/alerts.yml")]);
});

promtool.test("the alerts of docs/alerts.yml fire as tests/data says", async () => {
  assert.ok(alerts.length > 0);
  await promtool.run(["test", "rules", pathOf("tests/data/alerts-cases.yml")]);
  const cases = read("tests/data/alerts-cases.yml");
  for (const name of alerts) assert.ok(cases.includes(`alertname="${name}"`), name);
});

Deno.test("docs/alerts.yml uses metrics that exist", () => {
  const asked = new Set(read("docs/alerts.yml").match(/decnet_agent_\w+/g));
  assert.ok(asked.size > 0);
  for (const name of asked) assert.ok(metrics.has(name), name);
});

Deno.test("docs/output.md lists exactly the metrics, counters by their names", () => {
  const section = read("docs/output.md").split(/^## /m).find((it) => it.startsWith("Metrics"))!;
  const names = [...section.matchAll(/^- ((?:`[^`]+`(?:, )?)+): /gm)]
    .flatMap(([, listed]) => [...listed!.matchAll(/`(\w+)(?:\{[^}]*\})?`/g)])
    .map(([, name]) => `decnet_agent_${name}`);
  assert.deepEqual(names, [...metrics.keys()]);
  for (const [name, type] of metrics) assert.equal(type === "counter", name.endsWith("_total"));
});

const documentFolders = ["", "docs/", "docs/decisions/", "examples/master/"];
/** The text of each document without its blocks of code, by path. */
const documents = new Map(
  documentFolders.flatMap((folder) =>
    [...Deno.readDirSync(new URL(folder, root))].map(({ name }) => folder + name)
  ).filter((path) => path.endsWith(".md"))
    .map((path) => [path, read(path).replaceAll(/^```.*?^```$/gms, "")]),
);

/** Whether a file or a folder exists, and a Markdown file has the heading that the fragment names. */
function isTarget({ href, hash }: URL): boolean {
  const path = href.slice(root.href.length).split("#")[0]!;
  if (hash === "" || !path.endsWith(".md")) return existsSync(new URL(path, root));
  const headings = [...documents.get(path)?.matchAll(/^#+ (.+)$/gm) ?? []];
  return headings.some(([, heading]) =>
    `#${heading!.toLowerCase().replaceAll(/[^\w\- ]/g, "").replaceAll(" ", "-")}` === hash
  );
}

Deno.test("documents link to files and headings that exist", () => {
  const links = [...documents].flatMap(([path, text]) =>
    [...text.matchAll(/\]\((?!https?:)([^)\s]+)\)/g)].map(([, link]) => [path, link!] as const)
  );
  assert.ok(links.length > 100, String(links.length));
  assert.deepEqual(
    links.filter(([path, link]) => !isTarget(new URL(link, new URL(path, root)))),
    [],
  );
});

Deno.test("documents are short enough to be read", () => {
  const wordsOf = (path: string) => read(path).trim().split(/\s+/).length;
  const all = [...documents.keys()].reduce((sum, path) => sum + wordsOf(path), 0);
  assert.ok(all <= 27_000, `${all} words in all documents`);
  const limits = [[/^docs\/runbook/, 1400], [/^docs\/decisions\//, 250]] as const;
  const long = limits.flatMap(([paths, maximum]) =>
    [...documents.keys()].filter((path) => paths.test(path) && wordsOf(path) > maximum)
  );
  assert.deepEqual(long, []);
  assert.ok(read("CHANGELOG.md").trimEnd().split("\n").length <= 25);
});

Deno.test("tables of documents fit into 120 columns", () => {
  const rows = [...documents].flatMap(([path, text]) =>
    text.split("\n").filter((line) => line.startsWith("|")).map((line) => [path, line] as const)
  );
  assert.ok(rows.length > 20, String(rows.length));
  assert.deepEqual(rows.filter(([, line]) => line.length > 120), []);
});

Deno.test("documents name files of the project that exist", () => {
  const folders = [...Deno.readDirSync(root)].filter((it) => it.isDirectory).map(({ name }) =>
    name
  );
  const names = new RegExp("`((?:" + folders.join("|") + ")/[\\w./-]+\\.\\w+)`", "g");
  const named = [...documents].flatMap(([path, text]) =>
    [...text.matchAll(names)].map(([, name]) => [path, name!] as const)
  );
  assert.ok(named.length > 30, String(named.length));
  assert.deepEqual(named.filter(([, name]) => !existsSync(new URL(name, root))), []);
});

Deno.test("docs/topology.md lists exactly the codes of problems", () => {
  const section = read("docs/topology.md").split(/^## /m).find((it) =>
    it.startsWith("Validation")
  )!;
  const listed = [...section.matchAll(/^- ((?:`[A-Z_]+`(?:, )?)+): /gm)]
    .flatMap(([, codes]) => codes!.match(/[A-Z_]+/g)!);
  const known = new Set(read("topology/validate.ts").match(/(?<=")[A-Z]+_[A-Z_]+(?=")/g));
  assert.deepEqual(listed.sort(), [...known].sort());
});

/** Returns the code of the product, with strings of several parts joined. */
function productCode(): string {
  const modules = ["agent", "api", "apply", "cli", "docker", "host", "logs", "master"]
    .concat("store", "topology");
  return modules.flatMap((module) => {
    return [...Deno.readDirSync(new URL(`${module}/`, root))].map(({ name }) =>
      `${module}/${name}`
    );
  }).filter((path) => path.endsWith(".ts") && !path.endsWith("_test.ts")).map(read).join("\n")
    .replaceAll(/["`'] \+\s*["`']/g, "").replaceAll(/\s+/g, " ");
}

/** Shorter parts could match by accident. */
const minimumLength = 8;

/** Separators between the parts of a message. */
const joints = /…|; |: |, held by| within|^\d{3}/;

/** Returns the entries of docs/troubleshooting.md, each in one line. */
function troubles(): string[] {
  const entries = read("docs/troubleshooting.md").matchAll(/^- (`.*?)(?=\n- |\n\n)/gms);
  return [...entries].map(([, entry]) => entry!.replaceAll(/\s+/g, " "));
}

Deno.test("docs/troubleshooting.md quotes texts of the code exactly", () => {
  const code = productCode();
  // The code spans before the colon of each entry.
  const texts = troubles().flatMap((entry) => {
    const spans = /^((?:`[^`]+`(?:, )?)+): /.exec(entry)?.[1];
    assert.ok(spans, entry);
    return [...spans.matchAll(/`([^`]+)`/g)].map(([, text]) => text!);
  });
  assert.ok(texts.length > 70, String(texts.length));
  const parts = texts.flatMap((text) => text.split(joints)).map((part) => part.trim())
    .filter((part) => part.length >= minimumLength);
  assert.ok(parts.length > 70, String(parts.length));
  assert.deepEqual(parts.filter((part) => !code.includes(part)), []);
});

Deno.test("docs/troubleshooting.md has no one trust what a peer presents", () => {
  const entries = troubles().filter((entry) =>
    /^`its certificate (does not have the name|is not the pinned one)/.test(entry)
  );
  assert.equal(entries.length, 2);
  for (const entry of entries) assert.match(entry, /shown on the master itself\.$/);
});

Deno.test("readPluginOutput() refuses everything else", () => {
  const data = [
    ...["a", "a=", "=1", "a =1", "a=1 s", "a=1,5s", "a=1min", "a=1;;;;;", "a=1;x", "a=1 a=2"],
    ...["'a=1", "a=1e3", "a=NaN", "'a'b=1", "a=1;2;3;4;5;6", "a=1 | b=1"],
    `${"x".repeat(20)}=1 ${"x".repeat(19)}=1`,
  ];
  const refused = [
    ...["X OK - fine", "X OK - a\nb\n", "X FINE - a\n", "OK - a\n", "X OK - a\tb\n"],
    `X OK - ${"x".repeat(5000)}\n`,
    ...data.map((it) => `X OK - fine | ${it}\n`),
  ];
  for (const printed of refused) assert.throws(() => readPluginOutput(printed), Error, printed);
});
