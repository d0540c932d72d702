import assert from "node:assert/strict";

const root = new URL("../../", import.meta.url);

/** Returns the files that `entry` imports statically; paths from the root. */
async function loadedWith(entry: string): Promise<string[]> {
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", entry],
    cwd: root,
  }).output();
  const { modules } = JSON.parse(new TextDecoder().decode(stdout)) as {
    modules: {
      specifier: string;
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
  return [...loaded].map((it) => it.replace(root.href, "")).sort();
}

Deno.test("main.ts loads only what a check without a master needs", async () => {
  const loaded = await loadedWith("main.ts");
  assert.ok(loaded.includes("agent/snapshot.ts") && loaded.includes("docker/observe.ts"));
  const foreign =
    /^(api|apply|doctor|master|packaging)\/|^store\/(recovery|topology_store)|^agent\/(change_log|sender|watch|loop)|^cli\/(apply|commands|daemon|doctor|document_file|help|images|metrics|preview|print|state)|events/;
  assert.deepEqual(loaded.filter((it) => foreign.test(it)), []);
  assert.deepEqual(loaded.filter((it) => it.startsWith("node:")), ["node:sqlite"]);
});
