import { FakeEngine } from "./fake_engine.ts";

/** Runs a test against an engine in a directory of its own; it runs nothing at first. */
export async function withEngine(test: (engine: FakeEngine) => Promise<void>): Promise<void> {
  const directory = await Deno.makeTempDir();
  try {
    await using engine = await FakeEngine.start(`${directory}/docker.sock`);
    await test(engine);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}
