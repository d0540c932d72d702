/** Uses the store at the argument, a path, in each way. Prints the results as a line of JSON. */

import { useStore } from "../store.ts";

const [path = ""] = Deno.args;
Deno.stdout.writeSync(new TextEncoder().encode(`${JSON.stringify(await useStore(path))}\n`));
