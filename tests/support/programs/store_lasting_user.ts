/**
 * Acts as a running agent with a store at the first argument, a path: applies, runs the second argument
 * as a shell command, applies again, and runs the third. Prints a line of JSON after each of the last
 * three steps.
 */

import { standInOptions } from "../topology.ts";
import { Agent } from "../../../agent/heartbeat.ts";
import { FallbackStore } from "../../../store/recovery.ts";
import { refusalOf, requestOf, textOf, threeLans, validatedOf, withHost } from "../apply_host.ts";

const [storePath = "", begin = "", end = ""] = Deno.args;
const signal = new AbortController().signal;
/** The same as `threeLans` for Docker. */
const renamed = await validatedOf(textOf("topology-three-lans.json").replace("{", '{"note":1,'));
const hashes: Record<string, string> = { [threeLans.versionHash]: "1", [renamed.versionHash]: "2" };

async function shell(command: string): Promise<void> {
  await new Deno.Command("sh", { args: ["-c", command], stderr: "null" }).output();
}

function print(value: object): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${JSON.stringify(value)}\n`));
}

await withHost(async (host) => {
  const fallback = new FallbackStore(storePath);
  const applier = host.applier({ storePath, fallback });
  const agent = new Agent({
    agentVersion: "1",
    hostUuid: null,
    master: null,
    agentDirectory: host.folder.path,
    storePath,
    sockets: [host.engine.socketPath],
    networkPrefixes: [],
    containerPrefixes: [],
    planOptions: standInOptions,
    fallback,
  });
  const printHeartbeat = async (more: object = {}) => {
    const { store, topology } = (await agent.sendHeartbeat(signal)).body;
    print({ ...store, applied: hashes[topology?.applied_version_hash ?? ""] ?? null, ...more });
  };
  try {
    await applier.apply(requestOf(threeLans), { signal });
    await shell(begin);
    await printHeartbeat();
    const apply = applier.apply(requestOf(renamed), { signal });
    const result = await apply.then(() => "done", async () => (await refusalOf(apply)).message);
    await printHeartbeat({ apply: result });
    await shell(end);
    await printHeartbeat();
  } finally {
    agent.close();
  }
});
