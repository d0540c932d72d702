import { run } from "./cli/main.ts";
import { thisProcess } from "./cli/terminal.ts";

// Exits without waiting for idle connections, which would delay a check.
if (import.meta.main) Deno.exit(await run(Deno.args, thisProcess));
