import assert from "node:assert/strict";
import { type Observation, observe, type ObserveOptions } from "../docker/mod.ts";
import { container, type FakeEngine, network } from "./engine/mod.ts";

const never = new AbortController().signal;
/** More than any answer takes, less than a test that hangs. */
const soonMs = 4000;

/** Observes the engine at `socket`, whose objects start with `decnet_t_`. */
export function look(
  socket: string,
  options: Partial<ObserveOptions> = {},
  signal = never,
): Promise<Observation> {
  return observe(signal, {
    socket,
    networkPrefixes: ["decnet_t_"],
    containerPrefixes: ["decnet_t_"],
    ...options,
  });
}

/**
 * The message that an observation fails with, without its usual start. Throws `AssertionError` when it
 * does not fail, or takes 4 s.
 */
export async function failure(
  socket: string,
  options: Partial<ObserveOptions> = {},
  signal = never,
): Promise<string> {
  const startedAt = performance.now();
  let message = "";
  await assert.rejects(look(socket, options, signal), (error) => {
    message = (error as Error).message;
    return error instanceof Error;
  });
  const tookMs = performance.now() - startedAt;
  assert.ok(tookMs < soonMs, `took ${tookMs} ms`);
  const start = `Cannot observe Docker at ${socket}: `;
  assert.equal(message.slice(0, start.length), start);
  return message.slice(start.length);
}

/** Gives an engine one network and one container. */
export function stock(engine: FakeEngine): void {
  engine.networks = [network({ name: "decnet_t_1_lan", subnet: "10.0.0.0/24" })];
  engine.containers = [
    container({ name: "decnet_t_1_web", addresses: { decnet_t_1_lan: "10.0.0.5" } }),
  ];
}

/** Sees that the engine runs what `stock` gave it. */
export async function assertHealthy(socket: string): Promise<void> {
  const { bridges, containers } = await look(socket);
  assert.deepEqual([bridges, containers], [["decnet_t_1_lan"], ["decnet_t_1_web"]]);
}
