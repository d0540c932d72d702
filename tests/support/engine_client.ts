import assert from "node:assert/strict";
import { Engine, type EngineOptions } from "../../docker/engine.ts";
import { eventFilters, readLines } from "../../docker/events.ts";
import { EngineConnection } from "../../docker/http.ts";
import type { FakeEngine } from "./engine/fake_engine.ts";
import { withEngine } from "./engine/client.ts";

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

/** An event, as far as tests look at it: `container die web`. */
type EventWords = `${string} ${string} ${string}`;

/** Listens as the agent does, but to all that there is to hear. */
export class EventListener implements AsyncDisposable {
  /** What has been heard, with who has `tag` in the name; what comes twice in a row is one. */
  readonly heard: EventWords[] = [];
  readonly #stop = new AbortController();
  readonly #tag: string;
  #listening: Promise<void> = Promise.resolve();

  private constructor(tag: string) {
    this.#tag = tag;
  }

  /** Resolves when the engine has taken the call. */
  static async open(socket: string, tag: string): Promise<EventListener> {
    const listener = new EventListener(tag);
    const connection = await EngineConnection.open(socket, listener.#stop.signal);
    const path = `/events?filters=${encodeURIComponent(eventFilters)}`;
    await connection.openStream({ method: "GET", path });
    // It ends when it is cut.
    listener.#listening = readLines(connection.answers, (line) => listener.#hear(line!))
      .catch(() => {});
    return listener;
  }

  #hear(line: string): void {
    const { Type, Action, Actor: { Attributes: { name } } } = JSON.parse(line);
    if (!name.includes(this.#tag)) return;
    const words: EventWords = `${Type} ${Action} ${name.replace(this.#tag, "TAG")}`;
    if (this.heard.at(-1) !== words) this.heard.push(words);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#listening;
  }
}
