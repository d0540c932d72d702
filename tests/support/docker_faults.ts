import assert from "node:assert/strict";
import { type Observation, observe, type ObserveOptions } from "../../docker/observe.ts";
import type { AgentSetup } from "./agent_setup.ts";
import { scriptSocket } from "./answer_streams.ts";
import { FakeEngine, listenWithoutAccepting } from "./engine/fake_engine.ts";
import type { Fault } from "./engine/faults.ts";
import { container, network } from "./engine/state.ts";

/** What can be the matter with an engine that setting a fault on the stand-in does not bring. */

/** Brings trouble; the answer ends it. What must be tidied up at last is put on the stack. */
export type FaultPlace = (
  setup: AgentSetup,
  atLast: AsyncDisposableStack,
) => Promise<() => Promise<void>>;

/** Another process at the engine's path, or none, until the engine comes back there. */
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

/** The socket's file is there, as after a crash, and nobody listens. */
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

/** Connections are made, and never accepted. */
const needsRestart: FaultPlace = inItsPlace((path) => {
  const { stop } = listenWithoutAccepting(path);
  return Promise.resolve(stop);
});

/** So many wait for it that no more can. */
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

/** It says these words, whatever it is asked. */
function saying(...parts: Parameters<typeof scriptSocket>[1]): FaultPlace {
  return inItsPlace((path) => {
    const script = scriptSocket(path, parts);
    return Promise.resolve(() => script[Symbol.asyncDispose]());
  });
}

/** The faults of an engine, and what is said of each. */

/** One fault. */
interface Row {
  /** What the engine does. */
  readonly what: string;
  readonly trouble: Fault | FaultPlace;
  /** What is said behind `Cannot observe Docker at …: `. */
  readonly error: string;
  /** The same of `--once`, whose time is shorter. */
  readonly onceError?: string;
}

const noAnswer = (seconds: number) =>
  `no answer within ${seconds} s; if that lasts, restart the engine`;
const cutShort = "the connection closed in the middle of an answer; the engine's log may tell why";
const isItThere = "is it the engine that listens there?";
const notHttp = `the answer is not HTTP; ${isItThere}`;
const tooLarge = "the answer is larger than 32 MiB; remove containers that nobody needs";
const head = "HTTP/1.1 200 OK\r\n";
/** A byte every 0.5 s, for longer than the agent listens. */
const dripping = Array.from({ length: 24 }, () => ({ afterMs: 500, text: "[" }));
const answer = (path: string, body: unknown): Fault => ({
  kind: "body",
  path,
  body: typeof body === "string" ? body : JSON.stringify(body),
});
const status = (status: number, message: string): Fault => ({ kind: "status", status, message });
const networks = "/networks";
const containers = "/containers/json";

/** The silent ones first. */
export const rows: readonly Row[] = [
  { what: "D1 hanging engine", trouble: { kind: "hang" }, error: noAnswer(5) },
  {
    what: "D1 engine hangs in its second answer",
    trouble: { kind: "hang-body", path: containers },
    error: noAnswer(5),
  },
  { what: "D1 engine accepts no connection", trouble: needsRestart, error: noAnswer(5) },
  {
    what: "D4 first answer comes byte by byte",
    trouble: saying({ text: `${head}Content-Length: 24\r\n\r\n` }, ...dripping),
    error: noAnswer(5),
  },
  {
    what: "D4 second answer byte by byte, past 8 s",
    trouble: saying(
      { afterMs: 4_000, text: `${head}Content-Length: 2\r\n\r\n[]` },
      { text: `${head}Content-Length: 24\r\n\r\n` },
      ...dripping,
    ),
    error: noAnswer(8),
    onceError: "no answer in time; if that lasts, restart the engine",
  },
  {
    what: "D2 full queue of connections",
    trouble: overrun,
    error: "its queue is full; the engine hangs, restart it",
  },
  {
    what: "D7 no socket",
    trouble: absent,
    error: "no such socket; is the engine installed, and running?",
  },
  {
    what: "D5 socket without a listener",
    trouble: refused,
    error: "nobody listens; start the engine",
  },
  {
    what: "D5 plain file as socket",
    trouble: plainFile,
    error: "nobody listens; start the engine",
  },
  {
    what: "D9 engine cuts the connection",
    trouble: { kind: "reset" },
    error: "the engine cut the connection; its log may tell why",
  },
  {
    what: "D9 connection cut in the second answer",
    trouble: { kind: "truncated", path: containers },
    error: cutShort,
  },
  { what: "D10 garbage as answer", trouble: { kind: "garbage" }, error: notHttp },
  {
    what: "D10 another protocol",
    trouble: saying({ text: "SSH-2.0-OpenSSH_9.2\r\n" }),
    error: notHttp,
  },
  {
    what: "D12 answer 500",
    trouble: status(500, "layer does not exist"),
    error: "GET /networks was answered with 500 (layer does not exist)",
  },
  {
    what: "D12 answer 500 without a message",
    trouble: { ...status(500, ""), path: containers },
    error: "GET /containers/json was answered with 500",
  },
  {
    what: "D13 client is too new",
    trouble: status(
      400,
      "client version 1.99 is too new. Maximum supported API version is 1.41",
    ),
    error: "GET /networks was answered with 400 " +
      "(client version 1.99 is too new. Maximum supported API version is 1.41)",
  },
  {
    what: "D14 answer of 100 MB",
    trouble: { kind: "huge", bytes: 100_000_000, path: containers },
    error: tooLarge,
  },
  {
    what: "D14 100 MB announced",
    trouble: saying({ text: `${head}Content-Length: 100000000\r\n\r\n[` }),
    error: tooLarge,
  },
  {
    what: "D11 half of the JSON",
    trouble: answer(networks, '[{"Name":"brid'),
    error: "GET /networks was answered with something that is not JSON; " +
      isItThere,
  },
  {
    what: "D11 page as answer",
    trouble: answer(containers, "<html>It works!</html>"),
    error: "GET /containers/json was answered with something that is not JSON; " +
      isItThere,
  },
  {
    what: "D11 empty answer",
    trouble: answer(containers, ""),
    error: "GET /containers/json was answered with something that is not JSON; " +
      isItThere,
  },
  {
    what: "D15 object for a list",
    trouble: answer(networks, { Networks: [] }),
    error: "networks: not a list",
  },
  {
    what: "D15 null for a list",
    trouble: answer(containers, null),
    error: "containers: not a list",
  },
  {
    what: "D15 list of nulls",
    trouble: answer(containers, [null]),
    error: "container 0: not an object",
  },
  {
    what: "D15 number for a name",
    trouble: answer(networks, [{ Id: "1", Name: 7, Driver: "bridge" }]),
    error: "network 0: Name: not a text",
  },
  {
    what: "D15 numbers for names",
    trouble: answer(containers, [{ Id: "1", Names: [7], State: "running" }]),
    error: "container 0: Names: not a text",
  },
  {
    what: "D15 null for a state",
    trouble: answer(containers, [{ Id: "1", Names: ["/x"], State: null }]),
    error: "container 0: State: not a text",
  },
  {
    what: "D15 list for labels",
    trouble: answer(containers, [{ Id: "1", Names: ["/x"], State: "running", Labels: ["x"] }]),
    error: "container 0: Labels: not an object",
  },
];

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
export function snapshot(engine: FakeEngine): void {
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
