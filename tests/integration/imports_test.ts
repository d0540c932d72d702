import assert from "node:assert/strict";

/** Comments included; a check takes 3 ms longer for each 100 KB more. */
const maximumBytes = 217_000;

const root = new URL("../../", import.meta.url);

/** Returns the files that `entry` imports statically, with their bytes; paths from the root. */
async function loadedWith(entry: string): Promise<Map<string, number>> {
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", entry],
    cwd: root,
  }).output();
  const { modules } = JSON.parse(new TextDecoder().decode(stdout)) as {
    modules: {
      specifier: string;
      size?: number;
      dependencies?: { code?: { specifier: string }; isDynamic?: boolean }[];
    }[];
  };
  const found = new Map(modules.map((module) => [module.specifier, module]));
  const loaded = new Set<string>();
  const waiting = [new URL(entry, root).href];
  for (let at = waiting.pop(); at !== undefined; at = waiting.pop()) {
    if (loaded.has(at)) continue;
    loaded.add(at);
    for (const { code, isDynamic } of found.get(at)?.dependencies ?? []) {
      if (code && !isDynamic) waiting.push(code.specifier);
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
  // Each takes milliseconds to load; node:sqlite is loaded while the engine works.
  assert.deepEqual(loaded.filter((it) => it.startsWith("node:")), []);
  const bytes = [...sizes.values()].reduce((sum, size) => sum + size, 0);
  assert.ok(bytes <= maximumBytes, `${bytes} bytes of source`);
});
