/**
 * Compares our version hash with that of python3's own json on random documents:
 * `deno run -A tools/hash_against_python.ts [--count 20000] [--seed N]`.
 */

import { randomInt } from "node:crypto";
import { parseArgs } from "node:util";
import { randomDocument } from "../tests/fuzz/random_document.ts";
import { linesOf } from "../tests/soak/measured_agent.ts";
import { SeededRandom } from "../tests/support/random.ts";
import { versionHash } from "../topology/hash.ts";
import { parseJson } from "../topology/json.ts";

/** The rules as the master has them: one document a line, one digest a line. */
const oracle = `
import hashlib, json, sys
volatile = {"created_at", "status_changed_at", "updated_at", "last_seen", "status", "version",
            "last_error", "x", "y", "w", "h"}
def drop(value):
    if isinstance(value, dict):
        return {key: drop(item) for key, item in value.items() if key not in volatile}
    return [drop(item) for item in value] if isinstance(value, list) else value
for line in sys.stdin.buffer:
    text = json.dumps(drop(json.loads(line)), sort_keys=True, separators=(",", ":"))
    print(hashlib.sha256(text.encode("ascii")).hexdigest(), flush=True)
`;

/** So many digests fit into a pipe, so that neither side waits for the other for ever. */
const batchSize = 500;

/** The first of `count` documents on which the two differ, or null. */
export async function firstDifference(count: number, seed: number): Promise<string | null> {
  const random = new SeededRandom(seed);
  await using python = new Deno.Command("python3", {
    args: ["-c", oracle],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const writer = python.stdin.getWriter();
  const answers = linesOf(python.stdout);
  for (let done = 0; done < count; done += batchSize) {
    const texts = random.times(Math.min(batchSize, count - done), () => randomDocument(random));
    await writer.write(new TextEncoder().encode(texts.map((text) => `${text}\n`).join("")));
    for (const text of texts) {
      const { value: expected } = await answers.next();
      if (await versionHash(parseJson(text)) !== expected) return text;
    }
  }
  await writer.close();
  return null;
}

/** Ends the process with 2 unless `text` is a whole number. */
function wholeNumber(option: string, text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  // deno-lint-ignore no-console
  console.error(`--${option}: '${text}' must be a whole number`);
  Deno.exit(2);
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: { count: { type: "string", default: "20000" }, seed: { type: "string" } },
  });
  const count = wholeNumber("count", values.count);
  const seed = values.seed === undefined ? randomInt(2 ** 32) : wholeNumber("seed", values.seed);
  const difference = await firstDifference(count, seed);
  const verdict = difference === null ? "no difference" : `they differ on\n${difference}`;
  // deno-lint-ignore no-console
  console.log(`${count} documents, seed ${seed}: ${verdict}`);
  if (difference !== null) Deno.exit(1);
}
