/**
 * Applies and tears down, over and over, at the engine and with the store that the arguments name,
 * until it is killed. A line on standard output tells of the start, and of each end.
 */

import { Applier } from "../../../apply/applier.ts";
import { parseJson } from "../../../topology/json.ts";
import { defaultImages } from "../../../topology/plan.ts";
import { oneLan, threeLans } from "../apply_host.ts";

const [socket = "", storePath = ""] = Deno.args;
const signal = new AbortController().signal;
const applier = new Applier({
  sockets: [socket],
  storePath,
  images: defaultImages,
  supersede: true,
});
const say = (line: string) => Deno.stdout.writeSync(new TextEncoder().encode(`${line}\n`));

// Makes the file of the lock, which is looked at after the kill.
await applier.teardown("none", { signal });
say("begun");
for (let number = 0;; number++) {
  const validated = number % 3 === 2 ? oneLan : threeLans;
  const document = parseJson(validated.text);
  await applier.apply({ document, expectedHash: validated.versionHash }, { signal });
  say("applied");
  if (number % 2 === 0) {
    await applier.teardown(validated.plan.topologyId, { signal });
    say("torn down");
  }
}
