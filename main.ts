import { main } from "./cli/main.ts";

// Exits without waiting for idle connections, which would delay a check.
if (import.meta.main) Deno.exit(await main(Deno.args));
