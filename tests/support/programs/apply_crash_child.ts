/**
 * Applies and tears down until it is killed, with the engine and the store that the arguments name.
 * Prints a line at the start, and after each apply and teardown.
 */

import { standInOptions } from "../topology.ts";
import { Applier } from "../../../apply/applier.ts";
import { parseJson } from "../../../topology/json.ts";
import { oneLan, threeLans } from "../apply_host.ts";

const [socket = "", storePath = ""] = Deno.args;
const signal = new AbortController().signal;
const applier = new Applier({
  sockets: [socket],
  storePath,
  planOptions: standInOptions,
  master: null,
  listen: null,
  supersede: true,
});
const print = (line: string) => Deno.stdout.writeSync(new TextEncoder().encode(`${line}\n`));

// Creates the lock file, which is read after the kill.
await applier.teardown("none", { signal });
print("begun");
for (let number = 0;; number++) {
  const validated = number % 3 === 2 ? oneLan : threeLans;
  const document = parseJson(validated.text);
  await applier.apply({ document, expectedHash: validated.versionHash }, { signal });
  print("applied");
  if (number % 2 === 0) {
    await applier.teardown(validated.plan.topologyId, { signal });
    print("torn down");
  }
}
