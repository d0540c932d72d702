const headEnd = "\r\n\r\n";

/** Stands between a client and an engine's socket, and takes down what the client asks for. */
export class CountingProxy implements AsyncDisposable {
  /** The request lines without the protocol, such as `GET /networks`, in the order they came. */
  requests: string[] = [];
  /** Awaited before a request is passed on; tells its line. */
  onRequest: (line: string) => Promise<void> | void = () => {};
  readonly #listener: Deno.UnixListener;
  readonly #target: string;
  readonly #connections = new Set<Deno.Conn>();
  readonly #serving: Promise<void>;

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
    for (const connection of this.#connections) close(connection);
    await this.#serving;
  }

  async #serve(): Promise<void> {
    const relays: Promise<void>[] = [];
    for await (const client of this.#listener) relays.push(this.#relay(client));
    await Promise.all(relays);
  }

  async #relay(client: Deno.Conn): Promise<void> {
    const engine = await Deno.connect({ transport: "unix", path: this.#target });
    const both = [client, engine];
    for (const connection of both) this.#connections.add(connection);
    const reader = new RequestLines();
    const note = async (bytes: Uint8Array) => {
      for (const line of reader.read(bytes)) {
        this.requests.push(line);
        await this.onRequest(line);
      }
    };
    const end = () => {
      for (const connection of both) close(connection);
    };
    await Promise.all([
      pump(client, engine, note).finally(end),
      pump(engine, client).finally(end),
    ]);
    for (const connection of both) this.#connections.delete(connection);
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

/** Passes on what comes, until one side has closed the connection. */
async function pump(
  from: Deno.Conn,
  to: Deno.Conn,
  onBytes: (bytes: Uint8Array) => Promise<void> | void = () => {},
): Promise<void> {
  const buffer = new Uint8Array(64 * 1024);
  try {
    for (let count; (count = await from.read(buffer)) !== null;) {
      let bytes = buffer.subarray(0, count);
      await onBytes(bytes);
      while (bytes.length > 0) bytes = bytes.subarray(await to.write(bytes));
    }
  } catch (error) {
    if (!isEnd(error)) throw error;
  }
}

function close(connection: Deno.Conn): void {
  try {
    connection.close();
  } catch (error) {
    if (!isEnd(error)) throw error;
  }
}

function isEnd(error: unknown): boolean {
  const { BadResource, BrokenPipe, ConnectionReset, Interrupted } = Deno.errors;
  return [BadResource, BrokenPipe, ConnectionReset, Interrupted].some((type) =>
    error instanceof type
  );
}
