import { EngineConnection } from "../docker/connection.ts";
import { LineSplitter } from "../docker/line_splitter.ts";
import { eventFilters } from "../docker/own_events.ts";

/** An event, as far as tests look at it: `container die web`. */
export type EventWords = `${string} ${string} ${string}`;

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
    await connection.send([{ method: "GET", path }]);
    const head = await connection.head();
    if (head.status !== 200) throw new Error(`The engine answered ${head.status}`);
    const splitter = new LineSplitter((line) => listener.#hear(line!));
    // It ends when it is cut.
    listener.#listening = connection.pour(head, splitter).catch(() => {});
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
