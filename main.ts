import { run } from "./cli/main.ts";
import { processTerminal } from "./cli/terminal.ts";

// Exits without waiting for idle connections, which would delay a check.
if (import.meta.main) Deno.exit(await run(Deno.args, processTerminal()));
