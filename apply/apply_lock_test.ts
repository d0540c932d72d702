import { DatabaseSync } from "node:sqlite";
import { type ApplyHost, oneLan, onHost } from "../tests/support/apply_host.ts";
import { until } from "../tests/support/environment.ts";

/** How long an answer of the engine takes, and how long the store is locked, in milliseconds. */
const answerMs = 200;
const holdMs = 3 * answerMs;

/** Locks the store, for readers too, while the engine's first answer is due and after it. */
async function holdStore(host: ApplyHost): Promise<void> {
  const before = host.engine.requestCount;
  await until(() => host.engine.requestCount > before);
  const database = new DatabaseSync(host.storePath);
  database.exec("BEGIN EXCLUSIVE");
  await new Promise((resolve) => setTimeout(resolve, holdMs));
  database.exec("ROLLBACK");
  database.close();
}

onHost.test("Applier.apply() waits for a store that is locked before a change", async (host) => {
  host.engine.latencyMs = answerMs;
  await Promise.all([host.apply(oneLan), holdStore(host)]);
  await host.assertApplied(oneLan);
});
