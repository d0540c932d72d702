import assert from "node:assert/strict";
import { versionHash } from "../../topology/hash.ts";
import { parseJson } from "../../topology/json.ts";
import { randomDocument } from "../fuzz/random_document.ts";
import { linesOf } from "../soak/measured_agent.ts";
import { SeededRandom } from "../support/random.ts";
import { python } from "../support/requirements.ts";

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
async function firstDifference(count: number, seed: number): Promise<string | null> {
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

python.test("versionHash() agrees with python3 on random documents", async () => {
  const seed = crypto.getRandomValues(new Uint32Array(1))[0]!;
  assert.equal(await firstDifference(10_000, seed), null, `with the seed ${seed}`);
});
