/**
 * Uses the store at the first argument, a path, in each way, or in the one that the second argument
 * names. Prints the results as a line of JSON.
 */

import { storeUses, useStore } from "../store.ts";

const [path = "", method] = Deno.args;
const use = method ? await storeUses[method as keyof typeof storeUses](path) : await useStore(path);
Deno.stdout.writeSync(new TextEncoder().encode(`${JSON.stringify(use)}\n`));
