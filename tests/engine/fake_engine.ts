import { ByteInput, closeQuietly, isDisconnect, writeAll } from "./connection.ts";
import { type Fault, strike } from "./faults.ts";
import type { ContainerItem, NetworkItem } from "./items.ts";
import { encode, frame } from "./reply.ts";
import { answerCall, splitVersion } from "./routes.ts";

const requestsKept = 1000;

/** One received call; `path` holds the version, if any, and the query. */
export interface ReceivedRequest {
  method: string;
  path: string;
}

/** Plays the engine on a unix socket, counts the calls and goes wrong as it is told. */
export class FakeEngine implements AsyncDisposable {
  /** The last 1000 calls, oldest first. */
  readonly requests: ReceivedRequest[] = [];
  /** How many calls have come since the start. */
  requestCount = 0;
  /** How many connections have been accepted since the start. */
  connectionCount = 0;

  readonly #listener: Deno.UnixListener;
  readonly #connections = new Set<Deno.Conn>();
  readonly #serving = new Set<Promise<void>>();
  readonly #stopping = new AbortController();
  readonly #answers = new Map<string, Uint8Array<ArrayBuffer>>();
  #networks: readonly NetworkItem[] = [];
  #containers: readonly ContainerItem[] = [];
  #fault: Fault | undefined;
  #passed = 0;

  private constructor(readonly socketPath: string) {
    this.#listener = Deno.listen({ transport: "unix", path: socketPath });
    this.#keep(this.#accept());
  }

  /** Starts an engine that runs nothing; throws when the path exists. */
  static start(socketPath: string): Promise<FakeEngine> {
    return Promise.resolve(new FakeEngine(socketPath));
  }

  /** What `GET /networks` lists; assign a new array to change it, as answers are kept ready. */
  get networks(): readonly NetworkItem[] {
    return this.#networks;
  }
  set networks(networks: readonly NetworkItem[]) {
    this.#networks = networks;
    this.#answers.clear();
  }

  /** What `GET /containers/json` lists; assign a new array to change it. */
  get containers(): readonly ContainerItem[] {
    return this.#containers;
  }
  set containers(containers: readonly ContainerItem[]) {
    this.#containers = containers;
    this.#answers.clear();
  }

  /** What goes wrong from now on; undefined when nothing does. */
  get fault(): Fault | undefined {
    return this.#fault;
  }
  set fault(fault: Fault | undefined) {
    this.#fault = fault;
    this.#passed = 0;
  }

  /** Closes the socket and every connection at once and removes the socket's file. */
  async stop(): Promise<void> {
    if (this.#stopping.signal.aborted) return;
    this.#stopping.abort();
    this.#listener.close(); // This removes the file, too.
    for (const connection of this.#connections) closeQuietly(connection);
    await Promise.all(this.#serving);
  }

  /** Same as {@linkcode stop}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  #keep(task: Promise<void>): void {
    this.#serving.add(task);
    task.finally(() => this.#serving.delete(task));
  }

  async #accept(): Promise<void> {
    for await (const connection of this.#listener) {
      this.connectionCount++;
      this.#connections.add(connection);
      this.#keep(this.#serve(connection));
    }
  }

  async #serve(connection: Deno.Conn): Promise<void> {
    const input = new ByteInput(connection);
    try {
      while (await this.#answerNext(connection, input)) { /* one call after the other */ }
    } catch (error) {
      if (!isDisconnect(error)) throw error;
    } finally {
      this.#connections.delete(connection);
      closeQuietly(connection);
    }
  }

  /** Answers one call; false when the connection is to be closed. */
  async #answerNext(connection: Deno.Conn, input: ByteInput): Promise<boolean> {
    // A unix socket is reset, rather than closed, when it is closed over unread bytes. Reading a
    // request in single bytes leaves its header fields unread. (A connection that was idle when
    // the fault was set reads its next request whole, and so is closed.)
    const line = await input.line(this.#fault?.kind === "reset" ? 1 : undefined);
    if (line === undefined) return false;
    const [method = "", sent = "", protocol = ""] = line.split(" ");
    // Some clients name the host here too, as they would to a proxy.
    const target = sent.replace(/^http:\/\/[^/]*/, "");
    if (!protocol.startsWith("HTTP/1.")) return await badRequest(connection);
    const fault = this.#count(method, target);
    if (fault?.kind === "reset") {
      await writeAll(connection, encode("HTTP/1.1 200 OK\r\nApi-Ver"));
      return false;
    }

    const headers = await input.headers();
    if (headers === undefined) return false;
    if (!headers.has("host") && protocol === "HTTP/1.1") return await badRequest(connection);
    await input.skip(Number(headers.get("content-length") ?? 0));
    const close = protocol === "HTTP/1.0" || headers.get("connection")?.toLowerCase() === "close";

    if (fault) {
      const reply = answerCall(method, target, this);
      const after = await strike(fault, connection, reply, this.#stopping.signal);
      if (after === "silent") return await input.drain(); // Until the other side has had enough.
      if (!after) return false;
    } else {
      await writeAll(connection, this.#answer(method, target, close));
    }
    return !close;
  }

  /** Takes note of a call and says what is to go wrong with it. */
  #count(method: string, target: string): Fault | undefined {
    this.requestCount++;
    this.requests.push({ method, path: target });
    if (this.requests.length > requestsKept) this.requests.shift();
    const fault = this.#fault;
    if (!fault || !splitVersion(target).path.startsWith(fault.path ?? "/")) return undefined;
    return ++this.#passed > (fault.afterRequests ?? 0) ? fault : undefined;
  }

  /** The bytes of a good answer, made once for as long as nothing changes. */
  #answer(method: string, target: string, close: boolean): Uint8Array<ArrayBuffer> {
    const key = `${method} ${target} ${close}`;
    let bytes = this.#answers.get(key);
    if (!bytes) {
      bytes = frame(answerCall(method, target, this), close);
      this.#answers.set(key, bytes);
    }
    return bytes;
  }
}

async function badRequest(connection: Deno.Conn): Promise<false> {
  const fields = "Content-Type: text/plain; charset=utf-8\r\nConnection: close\r\n";
  await writeAll(connection, encode(`HTTP/1.1 400 Bad Request\r\n${fields}\r\n400 Bad Request`));
  return false;
}
