const headEnd = "\r\n\r\n";

/** Stands between a client and an engine's socket, and records the client's requests. */
export class CountingProxy implements AsyncDisposable {
  /** The request lines without the protocol, such as `GET /networks`, in the order they came. */
  requests: string[] = [];
  /** Awaited with its line before a request is passed on. */
  onRequest: (line: string) => Promise<void> | void = () => {};
  readonly #listener: Deno.UnixListener;
  readonly #target: string;
  readonly #serving: Promise<void>;
  readonly #closing = new AbortController();

  private constructor(path: string, target: string) {
    this.#listener = Deno.listen({ transport: "unix", path });
    this.#target = target;
    this.#serving = this.#serve();
  }

  /** Listens at `path` and passes everything on to the socket `target`. */
  static start(path: string, target: string): CountingProxy {
    return new CountingProxy(path, target);
  }

  /** The requests that may change something. */
  get changes(): readonly string[] {
    return this.requests.filter((line) => !/^(GET|HEAD) /.test(line));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    this.#closing.abort();
    await this.#serving;
  }

  async #serve(): Promise<void> {
    const relays: Promise<unknown>[] = [];
    for await (const client of this.#listener) relays.push(this.#relay(client));
    await Promise.all(relays);
  }

  /** Passes on what both sides send, until one of them has closed the connection. */
  async #relay(client: Deno.Conn): Promise<void> {
    const engine = await Deno.connect({ transport: "unix", path: this.#target });
    const reader = new RequestLines();
    const recorder = new TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>>({
      transform: async (bytes, controller) => {
        for (const line of reader.read(bytes)) {
          this.requests.push(line);
          await this.onRequest(line);
        }
        controller.enqueue(bytes);
      },
    });
    const end = new AbortController();
    const signal = AbortSignal.any([end.signal, this.#closing.signal]);
    // An error is the end of one side, as its close is.
    const pipe = (from: ReadableStream<Uint8Array<ArrayBuffer>>, to: WritableStream) =>
      from.pipeTo(to, { signal }).catch(() => {}).finally(() => end.abort());
    await Promise.all([
      pipe(client.readable.pipeThrough(recorder, { signal }), engine.writable),
      pipe(engine.readable, client.writable),
    ]);
  }
}

/** Finds the request lines in what a client sends. */
class RequestLines {
  #head = "";
  /** How much of a body is still to come, in bytes. */
  #bodyLeft = 0;

  /** The lines of the requests whose heads end in `bytes`, which follow those of before. */
  *read(bytes: Uint8Array): Generator<string> {
    // One character for each byte.
    let text = new TextDecoder("latin1").decode(bytes);
    while (text !== "") {
      const skipped = Math.min(this.#bodyLeft, text.length);
      this.#bodyLeft -= skipped;
      this.#head += text.slice(skipped);
      const end = this.#head.indexOf(headEnd);
      if (end < 0) return;
      text = this.#head.slice(end + headEnd.length);
      const head = this.#head.slice(0, end);
      this.#head = "";
      this.#bodyLeft = Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0);
      yield head.replace(/ HTTP\/1\.1[^]*$/, "");
    }
  }
}
