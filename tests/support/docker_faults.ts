import assert from "node:assert/strict";
import { type Observation, observe, type ObserveOptions } from "../../docker/observe.ts";
import type { AgentSetup } from "./agent_setup.ts";
import { scriptSocket } from "./answer_streams.ts";
import { FakeEngine, listenWithoutAccepting } from "./engine/fake_engine.ts";
import type { Fault } from "./engine/faults.ts";
import { container, network } from "./engine/state.ts";

/** Causes a fault; returns a function that ends it. Cleans up by the stack at the end of the test. */
export type FaultPlace = (
  setup: AgentSetup,
  atLast: AsyncDisposableStack,
) => Promise<() => Promise<void>>;

/** Stops the engine and runs `come` at its path; the returned function restores the engine. */
function inItsPlace(come: (path: string) => Promise<() => unknown>): FaultPlace {
  return async ({ engine }, atLast) => {
    const { socketPath, networks, containers } = engine;
    await engine.stop();
    const go = await come(socketPath);
    return async () => {
      await go();
      const next = atLast.use(await FakeEngine.start(socketPath));
      Object.assign(next, { networks, containers });
    };
  };
}

/** There is no socket. */
const absent: FaultPlace = inItsPlace(() => Promise.resolve(() => {}));

/** The socket's file is there, as after a crash, and no process listens. */
const refused: FaultPlace = inItsPlace(async (path) => {
  const listener = Deno.listen({ transport: "unix", path: `${path}.first` });
  await Deno.rename(`${path}.first`, path);
  listener.close();
  return () => Deno.remove(path);
});

/** A plain file is where the socket should be. */
const plainFile: FaultPlace = inItsPlace(async (path) => {
  await Deno.writeTextFile(path, "");
  return () => Deno.remove(path);
});

/** Connections are never accepted. */
const needsRestart: FaultPlace = inItsPlace((path) => {
  const { stop } = listenWithoutAccepting(path);
  return Promise.resolve(stop);
});

/** The queue of connections is full. */
const overrun: FaultPlace = inItsPlace(async (path) => {
  const { stop } = listenWithoutAccepting(path);
  const waiting: Deno.Conn[] = [];
  try {
    for (;;) waiting.push(await Deno.connect({ transport: "unix", path }));
  } catch (error) {
    if (!(error instanceof Deno.errors.WouldBlock)) throw error;
  }
  return () => {
    for (const connection of waiting) connection.close();
    stop();
  };
});

/** Each request gets this answer. */
function saying(...parts: Parameters<typeof scriptSocket>[1]): FaultPlace {
  return inItsPlace((path) => {
    const script = scriptSocket(path, parts);
    return Promise.resolve(() => script[Symbol.asyncDispose]());
  });
}

/**
 * A fault, its cause, and the error after `Cannot observe Docker at …: `. `onceError` is the error of
 * `--once` where that differs, as its time limit is shorter.
 */
type Row = readonly [what: string, trouble: Fault | FaultPlace, error: string, onceError?: string];

const inTime = (time: string) => `no answer ${time}; if this continues, restart the engine`;
const noAnswer = inTime("within 5 s");
const cutShort = "connection closed in the middle of an answer; the engine's log may show why";
const wasReset = "connection reset; the engine's log may show why";
const isItThere = "is this the engine's socket?";
const notHttp = `the answer is not HTTP; ${isItThere}`;
const tooLarge = "the answer is larger than 32 MiB; remove unused containers";
const overfull = "too many waiting connections; the engine hangs, restart it";
const tooNew = "client version 1.99 is too new. Maximum supported API version is 1.41";
const head = "HTTP/1.1 200 OK\r\n";
const longHead = { text: `${head}Content-Length: 24\r\n\r\n` };
const late = { afterMs: 4_000, text: `${head}Content-Length: 2\r\n\r\n[]` };
/** A byte every 0.5 s, for longer than the agent waits. */
const dripping = Array.from({ length: 24 }, () => ({ afterMs: 500, text: "[" }));
const networks = "/networks";
const containers = "/containers/json";
const answer = (path: string, body: string): Fault => ({ kind: "body", path, body });
const status = (status: number, message: string): Fault => ({ kind: "status", status, message });

/**
 * All faults; those that take longest come first. What else is wrong in an answer is shown by the tests
 * of docker/: http_test.ts, errors_test.ts and lists_test.ts.
 */
export const rows: readonly Row[] = [
  ["D1 hanging engine", { kind: "hang" }, noAnswer],
  ["D1 engine hangs in its second answer", { kind: "hang-body", path: containers }, noAnswer],
  ["D1 engine accepts no connection", needsRestart, noAnswer],
  ["D4 first answer comes byte by byte", saying(longHead, ...dripping), noAnswer],
  [
    "D4 second answer byte by byte, past 8 s",
    saying(late, longHead, ...dripping),
    inTime("within 8 s"),
    inTime("in time"),
  ],
  ["D2 full queue of connections", overrun, overfull],
  ["D7 no socket", absent, "no such file; is the engine installed and running?"],
  ["D5 socket without a listener", refused, "connection refused; start the engine"],
  ["D5 plain file as socket", plainFile, "connection refused; start the engine"],
  ["D9 engine resets the connection", { kind: "reset" }, wasReset],
  ["D9 connection cut in the second answer", { kind: "truncated", path: containers }, cutShort],
  ["D10 garbage as answer", { kind: "garbage" }, notHttp],
  ["D10 another protocol", saying({ text: "SSH-2.0-OpenSSH_9.2\r\n" }), notHttp],
  ["D12 answer 500", status(500, "no layer"), "GET /networks was answered with 500 (no layer)"],
  ["D12 client is too new", status(400, tooNew), `GET /networks was answered with 400 (${tooNew})`],
  ["D14 answer of 100 MB", { kind: "huge", bytes: 100_000_000, path: containers }, tooLarge],
  [
    "D11 page as answer",
    answer(containers, "<html>It works!</html>"),
    `GET /containers/json was answered with invalid JSON; ${isItThere}`,
  ],
  ["D15 object for a list", answer(networks, '{"Networks":[]}'), "networks: not a list"],
  ["D15 list of nulls", answer(containers, "[null]"), "container 0: not an object"],
];

const never = new AbortController().signal;
/** Longer than any answer takes, shorter than the agent's limit. */
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
export function snapshot(engine: FakeEngine): void {
  engine.networks = [network({ name: "decnet_t_1_lan", subnet: "10.0.0.0/24" })];
  engine.containers = [
    container({ name: "decnet_t_1_web", addresses: { decnet_t_1_lan: "10.0.0.5" } }),
  ];
}

/** Asserts that the engine lists what `snapshot()` gave it. */
export async function assertHealthy(socket: string): Promise<void> {
  const { bridges, containers } = await look(socket);
  assert.deepEqual([bridges, containers], [["decnet_t_1_lan"], ["decnet_t_1_web"]]);
}
