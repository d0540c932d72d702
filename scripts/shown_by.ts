/**
 * Sees that each claim of SECURITY.md and docs/reliability.md is shown by what has really run: every
 * name that stands there after "Shown by" must be in the logs that the arguments name, and every row
 * of a table with an id must have a name. `deno run -q -R scripts/shown_by.ts LOG...`
 *
 * @module
 */
// deno-lint-ignore-file no-console

/** What a document claims: the ids of its rows, and by what each claim is shown. */
export interface Claims {
  readonly rows: readonly string[];
  /** Row id, or the heading above, with a name each. */
  readonly proofs: readonly (readonly [claim: string, name: string])[];
}

/** Reads a document. A row begins with its id, as `| D1 |`; its proofs are in a list, `- D1: …`. */
export function readClaims(markdown: string): Claims {
  const rows: string[] = [];
  const proofs: [string, string][] = [];
  let heading = "";
  let claim: string | null = null;
  for (const line of markdown.split("\n")) {
    const row = /^\| ([A-Z]\d+) +\|/.exec(line)?.[1];
    if (row) rows.push(row);
    if (line.startsWith("#") || line.startsWith("|")) claim = null;
    if (line.startsWith("#")) heading = line.replace(/^#+ /, "");
    if (line.startsWith("Shown by:")) claim = heading;
    const item = /^- ([A-Z]\d+):( |$)/.exec(line)?.[1];
    if (item) claim = item;
    else if (line === "" && claim === heading) claim = null;
    if (claim === null) continue;
    for (const [, name = ""] of line.matchAll(/`([^`]+)`/g)) proofs.push([claim, name]);
  }
  return { rows, proofs };
}

/** The names of what ran: of tests, as Deno prints them, and of checks, `ok    NAME: …`. */
export function namesIn(log: string): Set<string> {
  // deno-lint-ignore no-control-regex
  const plain = log.replaceAll(/\x1b\[[0-9;]*m/g, "");
  const tests = [...plain.matchAll(/^(.+?) \.\.\./gm)].map(([, name = ""]) => name);
  const checks = [...plain.matchAll(/^ok {4}(.+?): /gm)].map(([, name = ""]) => name);
  return new Set([...tests, ...checks]);
}

/** What is claimed and not shown, a line each. */
export function unshown({ rows, proofs }: Claims, names: ReadonlySet<string>): string[] {
  const shown = new Set(proofs.map(([claim]) => claim));
  return [
    ...rows.filter((row) => !shown.has(row)).map((row) => `${row}: nothing shows it`),
    ...proofs.filter(([, name]) => !names.has(name)).map(([claim, name]) =>
      `${claim}: did not run: ${name}`
    ),
  ];
}

if (import.meta.main) {
  const names = namesIn(Deno.args.map((path) => Deno.readTextFileSync(path)).join("\n"));
  let [claims, problems] = [0, 0];
  for (const file of ["SECURITY.md", "docs/reliability.md"]) {
    const read = readClaims(Deno.readTextFileSync(new URL(`../${file}`, import.meta.url)));
    for (const problem of unshown(read, names)) {
      console.error(`${file}: ${problem}`);
      problems++;
    }
    claims += read.proofs.length;
  }
  console.log(`${claims} names of tests in the documents, ${problems} problems`);
  if (problems > 0) Deno.exit(1);
}
