import type { ListeningHost } from "../../tests/binary/listening_host.ts";
import type { FakeEngine } from "../../tests/engine/mod.ts";
import { defaultImages } from "../../topology/mod.ts";
import { loadDocument } from "../demo/document.ts";

/** Subnets that are kept for tests: on any other, the machine itself might have an address. */
const network = "198.18";
/** One topology is torn down after so many applies of it. */
const appliesOfOne = 3;

/** How often the host was changed. */
export interface Pushed {
  readonly applies: number;
  readonly teardowns: number;
}

/**
 * Pushes topologies and tears them down until `signal` is aborted. Between two applies containers
 * vanish. Throws `Error` when one fails.
 */
export async function push(
  setup: ListeningHost,
  engine: FakeEngine,
  signal: AbortSignal,
): Promise<Pushed> {
  let applies = 0;
  let teardowns = 0;
  const post = async (path: string, body: string) => {
    const { status, body: answer } = await setup.call(path, { method: "POST", body });
    if (status !== 200) throw new Error(`${path}: ${status} ${JSON.stringify(answer)}`);
  };
  while (!signal.aborted) {
    const { text, versionHash, topology, plan } = await loadDocument(defaultImages, {
      id: crypto.randomUUID(),
      network,
    });
    engine.images = plan.containers.map(({ request }) => request.Image);
    for (let count = 0; count < appliesOfOne && !signal.aborted; count++) {
      engine.containers = engine.containers.slice(count);
      await post("/topology/apply", `{"hydrated":${text},"version_hash":"${versionHash}"}`);
      applies++;
    }
    await post("/topology/teardown", JSON.stringify({ topology_id: topology.id }));
    teardowns++;
  }
  return { applies, teardowns };
}
