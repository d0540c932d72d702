/**
 * Changes the store at the path that is the first argument until it is killed, as the seed in the
 * second has it. A line on standard output tells of each change before it, and another after it.
 */

import { TopologyStore } from "../../../store/topology_store.ts";
import { randomNumbers } from "../answer_streams.ts";
import { carryOut, changeOf } from "../crashes.ts";

const [path = "", seed = ""] = Deno.args;
const random = randomNumbers(Number(seed));
const say = (line: string) => Deno.stdout.writeSync(new TextEncoder().encode(`${line}\n`));

for (let number = 0;; number++) {
  const change = changeOf(number, random);
  say(JSON.stringify(change));
  const store = TopologyStore.open(path);
  carryOut(store, change);
  store.close();
  say("done");
}
