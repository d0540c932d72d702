import assert from "node:assert/strict";
import { Engine, type EngineOptions } from "../docker/engine.ts";
import { type FakeEngine, withEngine } from "./engine/mod.ts";

const never = new AbortController().signal;

/** Runs a test with a client of an engine, which is closed at the end. */
export function withClient(
  test: (engine: FakeEngine, client: Engine) => Promise<void>,
  { signal = never, ...options }: EngineOptions & { readonly signal?: AbortSignal } = {},
): Promise<void> {
  return withEngine(async (engine) => {
    const client = new Engine(engine.socketPath, signal, options);
    try {
      await test(engine, client);
    } finally {
      client.close();
    }
  });
}

/** What a call fails with. Throws `AssertionError` when it does not. */
export async function failureOf(call: Promise<unknown>): Promise<Error> {
  try {
    await call;
  } catch (error) {
    assert.ok(error instanceof Error);
    return error;
  }
  throw new assert.AssertionError({ message: "it did not fail" });
}
