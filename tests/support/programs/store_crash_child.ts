/**
 * Changes the store at the first argument, a path, until it is killed; the second is the seed of the
 * changes. Prints a line before each change, and another after it.
 */

import { TopologyStore } from "../../../store/topology_store.ts";
import { makeChange, randomChange } from "../crashes.ts";
import { SeededRandom } from "../random.ts";

const [path = "", seed = ""] = Deno.args;
const random = new SeededRandom(Number(seed));
const print = (line: string) => Deno.stdout.writeSync(new TextEncoder().encode(`${line}\n`));

for (let number = 0;; number++) {
  const change = randomChange(number, random);
  print(JSON.stringify(change));
  const store = TopologyStore.open(path);
  makeChange(store, change);
  store.close();
  print("done");
}
