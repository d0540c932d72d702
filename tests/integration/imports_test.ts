import assert from "node:assert/strict";

/** Comments included; a check takes 3 ms longer for each 100 KB more. */
const maximumBytes = 217_000;

const root = new URL("../../", import.meta.url);

type Import = { code?: { specifier: string }; isDynamic?: boolean };
type Module = { specifier: string; size?: number; dependencies?: Import[] };

/** Returns the files that `entry` imports statically, with their bytes; paths from the root. */
async function loadedWith(entry: string): Promise<Map<string, number>> {
  const args = ["info", "--json", entry];
  const { stdout } = await new Deno.Command(Deno.execPath(), { args, cwd: root }).output();
  const { modules }: { modules: Module[] } = JSON.parse(new TextDecoder().decode(stdout));
  const found = new Map(modules.map((module) => [module.specifier, module]));
  // What is added while the loop runs is visited as well.
  const loaded = new Set([new URL(entry, root).href]);
  for (const specifier of loaded) {
    const { dependencies = [] } = found.get(specifier) ?? {};
    for (const { code, isDynamic } of dependencies) {
      if (code && !isDynamic) loaded.add(code.specifier);
    }
  }
  return new Map(
    [...loaded].map((it) => [it.replace(root.href, ""), found.get(it)?.size ?? 0] as const).sort(),
  );
}

Deno.test("main.ts loads only what a check without a master needs", async () => {
  const sizes = await loadedWith("main.ts");
  const loaded = [...sizes.keys()];
  assert.ok(loaded.includes("agent/snapshot.ts") && loaded.includes("docker/observe.ts"));
  const foreign =
    /^(api|apply|doctor|master|packaging)\/|^store\/(recovery|topology_store)|^agent\/(change_log|sender|watch|loop)|^topology\/(hash|validate|changes)|^cli\/(apply|commands|daemon|doctor|document_file|help|images|log_report|metrics|preview|print|state)|events/;
  assert.deepEqual(loaded.filter((it) => foreign.test(it)), []);
  const bytes = [...sizes.values()].reduce((sum, size) => sum + size, 0);
  assert.ok(bytes <= maximumBytes, `${bytes} bytes of source`);
});

Deno.test("short commands load no module of Node's but SQLite", async () => {
  // The first other one takes 40 ms, twice as long as a check.
  const nodeModules = async (entry: string) =>
    [...(await loadedWith(entry)).keys()].filter((it) => it.startsWith("node:"));
  assert.deepEqual(await nodeModules("main.ts"), []);
  assert.deepEqual(await nodeModules("cli/commands.ts"), ["node:sqlite"]);
  assert.deepEqual(await nodeModules("cli/metrics.ts"), []);
});
