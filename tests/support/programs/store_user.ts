/**
 * Uses the store at the path that is the first argument in each way, or in the one that the second
 * names, and prints how each ended, as a line of JSON.
 */

import { storeUses, useStore } from "../store.ts";

const [path = "", method] = Deno.args;
const use = method ? await storeUses[method as keyof typeof storeUses](path) : await useStore(path);
Deno.stdout.writeSync(new TextEncoder().encode(`${JSON.stringify(use)}\n`));
