/**
 * Kills processes that change a store, and ones that apply and tear down, with SIGKILL at random
 * moments, and checks that each leaves a state that was written and can be continued:
 * `deno task crash [STORE_KILLS [APPLY_KILLS [SEED]]]`, by default 1000 and 200.
 *
 * @module
 */
// deno-lint-ignore-file no-console

import { randomInt } from "node:crypto";
import { crashApplies, crashStores } from "../support/crashes.ts";

if (import.meta.main) {
  const [storeKills = 1000, applyKills = 200, seed = randomInt(2 ** 31)] = Deno.args.map(Number);
  const startedAt = performance.now();
  const store = await crashStores({ kills: storeKills, seed });
  console.log(
    `store: ${store.kills} processes killed, after ${store.changes} changes; ` +
      `${store.undone + store.done} within one, of which ${store.done} was found done and ` +
      `${store.undone} undone; ${store.journals} left a journal; none a state never written`,
  );
  const apply = await crashApplies({ kills: applyKills, seed });
  console.log(
    `apply: ${apply.kills} processes killed, after ${apply.completed} applies and teardowns; ` +
      `${apply.atWork} within one; ${apply.halfDone} left a topology half done; the next ` +
      "run finished all",
  );
  console.log(`seed ${seed}, ${Math.round((performance.now() - startedAt) / 1000)} s`);
}
