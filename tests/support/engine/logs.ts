import { closeQuietly, encode, writeAll } from "./http.ts";

/** Docker cuts longer lines into pieces. */
const pieceBytes = 16 * 1024;

/** A timestamp as Docker writes it: nanoseconds, all nine digits. */
export function timestampAt(ms: number, nanoseconds = 0): string {
  return new Date(ms).toISOString().replace("Z", `${String(nanoseconds).padStart(6, "0")}Z`);
}

/** A frame of a log: its header and its content. */
export function logFrame(content: Uint8Array, stream = 1): Uint8Array<ArrayBuffer> {
  const frame = new Uint8Array(8 + content.length);
  frame[0] = stream;
  new DataView(frame.buffer).setUint32(4, content.length);
  frame.set(content, 8);
  return frame;
}

/** Returns the frames of a line, with its line feed if it has one, as Docker sends them. */
export function lineFrames(
  timestamp: string,
  line: string | Uint8Array,
): Uint8Array<ArrayBuffer>[] {
  const bytes = typeof line === "string" ? encode(line) : line;
  const frames: Uint8Array<ArrayBuffer>[] = [];
  for (let at = 0; at === 0 || at < bytes.length; at += pieceBytes) {
    const prefix = encode(`${timestamp} `);
    const piece = bytes.subarray(at, at + pieceBytes);
    const content = new Uint8Array(prefix.length + piece.length);
    content.set(prefix);
    content.set(piece, prefix.length);
    frames.push(logFrame(content));
  }
  return frames;
}

interface LogEntry {
  /** Unix time in nanoseconds. */
  readonly time: bigint;
  readonly frames: readonly Uint8Array<ArrayBuffer>[];
}

/** A client that follows a log. */
interface Follower {
  readonly container: string;
  readonly connection: Deno.Conn;
  readonly since: bigint;
  written: Promise<unknown>;
}

/** The logs of the stand-in's containers, by their ids. */
export class LogStreams {
  readonly #entries = new Map<string, LogEntry[]>();
  readonly #followers = new Set<Follower>();
  /** How many lines have been printed, for timestamps that differ. */
  #printed = 0;

  /** The containers that are followed now, one for each stream. */
  get followed(): string[] {
    return [...this.#followers].map(({ container }) => container);
  }

  /** Lets a container write a line, or the start of one, which is kept and goes to all followers. */
  print(
    container: string,
    line: string | Uint8Array,
    timestamp = timestampAt(Date.now(), this.#printed++ % 1_000_000),
  ): void {
    const ms = BigInt(Date.parse(`${timestamp.slice(0, 19)}Z`));
    const time = ms * 1_000_000n + BigInt(timestamp.slice(20, 29));
    const entry = { time, frames: lineFrames(timestamp, line) };
    const entries = this.#entries.get(container) ?? [];
    entries.push(entry);
    this.#entries.set(container, entries);
    for (const follower of this.#followers) {
      if (follower.container === container) send(follower, entry);
    }
  }

  /** Forgets what a container wrote, as a rotation does. */
  rotate(container: string): void {
    this.#entries.delete(container);
  }

  /** Sends bytes to the followers of a container, whatever they are. */
  write(container: string, bytes: Uint8Array<ArrayBuffer>): void {
    for (const follower of this.#followers) {
      if (follower.container === container) {
        send(follower, { time: follower.since, frames: [bytes] });
      }
    }
  }

  /** Ends the streams of a container, or of all, after what was written. */
  end(container?: string): void {
    for (const follower of this.#followers) {
      if (container !== undefined && container !== follower.container) continue;
      follower.written.then(() => closeQuietly(follower.connection));
    }
  }

  /** Adds a client; the answer removes it. The stream of a container that is not up ends at once. */
  add(
    connection: Deno.Conn,
    { container, query, isUp }: { container: string; query: URLSearchParams; isUp: boolean },
  ): () => void {
    const [seconds = "0", nanoseconds = "0"] = (query.get("since") ?? "0").split(".");
    const since = BigInt(seconds) * 1_000_000_000n + BigInt(nanoseconds.padEnd(9, "0"));
    const head = "HTTP/1.0 200 OK\r\nApi-Version: 1.41\r\nServer: Docker/20.10.24 (linux)\r\n\r\n";
    const written = writeAll(connection, head).catch(() => {});
    const follower = { container, connection, since, written };
    for (const entry of this.#entries.get(container) ?? []) send(follower, entry);
    if (!isUp) follower.written.then(() => closeQuietly(connection));
    this.#followers.add(follower);
    return () => this.#followers.delete(follower);
  }
}

function send(follower: Follower, { time, frames }: LogEntry): void {
  if (time < follower.since) return;
  for (const frame of frames) {
    // A client that has gone misses it.
    follower.written = follower.written.then(() => writeAll(follower.connection, frame))
      .catch(() => {});
  }
}
