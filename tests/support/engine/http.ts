import { STATUS_CODES } from "node:http";

/** A refusal in the words of the engine; the routes answer with it. */
export class ApplyError extends Error {
  override readonly name = "Refusal";

  constructor(readonly status: number, message: string) {
    super(message);
  }
}

interface Ipam {
  readonly IPAMConfig?: { readonly IPv4Address?: string } | null;
}

/** What `POST /networks/create` takes, as far as it is looked at. */
export interface NetworkCreation {
  readonly Name?: string;
  readonly CheckDuplicate?: boolean;
  readonly Driver?: string;
  readonly Internal?: boolean;
  readonly IPAM?: { readonly Config?: readonly { readonly Subnet?: string }[] | null };
  readonly Options?: Record<string, string>;
  readonly Labels?: Record<string, string>;
}

/** What connects a container to a network, or cuts it off. */
export interface NetworkMembership {
  readonly Container?: string;
  readonly EndpointConfig?: Ipam | null;
  readonly Force?: boolean;
}

/** What `POST /containers/create` takes, as far as it is looked at. */
export interface ContainerCreation {
  readonly Image?: string;
  readonly Hostname?: string;
  readonly Cmd?: readonly string[];
  readonly Labels?: Record<string, string>;
  readonly HostConfig?: { readonly NetworkMode?: string } | null;
  readonly NetworkingConfig?: {
    readonly EndpointsConfig?: Readonly<Record<string, Ipam | null>> | null;
  } | null;
}

/** The types of the fields, by the engine's names for them. */
type Fields = Readonly<Record<string, "string" | "bool" | "[]string" | "map[string]string">>;

const networkFields: Fields = {
  Name: "string",
  CheckDuplicate: "bool",
  Driver: "string",
  Internal: "bool",
  Labels: "map[string]string",
};
const containerFields: Fields = {
  Image: "string",
  Hostname: "string",
  Cmd: "[]string",
  Env: "[]string",
  Labels: "map[string]string",
};

/** A request's body, and what the call says of it. */
export interface SentBody {
  readonly text: string;
  readonly type: string;
}

/** Reads the body of `POST /networks/create`. Throws `Refusal`. */
export function readNetwork(body: SentBody): NetworkCreation {
  const value = parse(body, "types.NetworkCreateRequest", networkFields);
  return value ?? {};
}

/** Reads the body of `POST /networks/{id}/connect` and `disconnect`. Throws `Refusal`. */
export function readMembership(body: SentBody): NetworkMembership {
  return parse(body, "types.NetworkConnect", { Container: "string", Force: "bool" }) ?? {};
}

/** Reads the body of `POST /containers/create`. Throws `Refusal`. */
export function readContainer(body: SentBody): ContainerCreation {
  let value: ContainerCreation | null;
  try {
    value = parse(body, "runconfig.ContainerConfigWrapper", containerFields);
  } catch (error) {
    if (!(error instanceof ApplyError) || error.message.startsWith("Content-Type")) throw error;
    // The engine calls it its own fault when it cannot read this body, in slightly other words.
    const isEmpty = error.message.startsWith("got EOF");
    throw new ApplyError(500, isEmpty ? "EOF" : error.message);
  }
  if (value === null || !Object.hasOwn(value, "Image")) {
    throw new ApplyError(400, "Config cannot be empty in order to create a container");
  }
  return value;
}

function parse<T>({ text, type }: SentBody, target: string, fields: Fields): T | null {
  if (text !== "" && type.split(";")[0] !== "application/json") {
    throw new ApplyError(400, `Content-Type specified (${type}) must be 'application/json'`);
  }
  if (text.trim() === "") throw new ApplyError(400, "got EOF while reading request body");
  let value: Record<string, unknown> | null;
  try {
    value = JSON.parse(text);
  } catch {
    throw new ApplyError(400, syntaxProblem(text));
  }
  if (kindOf(value) === "null") return null;
  if (kindOf(value) !== "object") {
    const problem = `cannot unmarshal ${kindOf(value)} into Go value of type ${target}`;
    throw new ApplyError(400, `json: ${problem}`);
  }
  const struct = target.replace(/^.*\./, "");
  for (const [name, wanted] of Object.entries(fields)) {
    const found = kindOf(value?.[name]);
    if (!["undefined", "null", jsonKinds[wanted]].includes(found)) {
      const problem = `cannot unmarshal ${found} into Go struct field ${struct}.${name}`;
      throw new ApplyError(400, `json: ${problem} of type ${wanted}`);
    }
  }
  return value as T;
}

const jsonKinds = {
  "string": "string",
  "bool": "bool",
  "[]string": "array",
  "map[string]string": "object",
};

function kindOf(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  return typeof value === "boolean" ? "bool" : typeof value;
}

/** A text cut short, or one that does not even start as JSON: the two that a client may send. */
function syntaxProblem(text: string): string {
  const first = text.trim()[0]!;
  return /[[{"\dtfn-]/.test(first)
    ? "unexpected EOF"
    : `invalid character '${first}' looking for beginning of value`;
}

const bufferBytes = 16_384;
const carriageReturn = 13;
const decoder = new TextDecoder();

/** Writes all of `bytes`. */
export async function writeAll(connection: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let sent = 0; sent < bytes.length;) {
    sent += await connection.write(bytes.subarray(sent));
  }
}

/** True for what a connection throws when it is closed on either side. */
export function isDisconnect(error: unknown): boolean {
  return error instanceof Deno.errors.BrokenPipe || error instanceof Deno.errors.BadResource ||
    error instanceof Deno.errors.ConnectionReset || error instanceof Deno.errors.Interrupted ||
    error instanceof Error && error.name === "AbortError";
}

/** Closes a connection that may be closed already. */
export function closeQuietly(connection: Deno.Conn): void {
  try {
    connection.close();
  } catch (error) {
    if (!(error instanceof Deno.errors.BadResource)) throw error;
  }
}

/** The bytes of one connection, read as lines. */
export class ByteInput {
  readonly #connection: Deno.Conn;
  #buffer = new Uint8Array(bufferBytes);
  #start = 0;
  #end = 0;

  constructor(connection: Deno.Conn) {
    this.#connection = connection;
  }

  /** The next line without its end, undefined at the end of the input. */
  async line(readBytes = bufferBytes): Promise<string | undefined> {
    for (;;) {
      const end = this.#buffer.subarray(0, this.#end).indexOf(10, this.#start);
      if (end >= 0) {
        const line = decoder.decode(this.#buffer.subarray(this.#start, end));
        this.#start = end + 1;
        return line.replace(/\r$/, "");
      }
      if (!await this.#read(readBytes)) return undefined;
    }
  }

  /**
   * Header fields up to the empty line, names in lower case; undefined when the input ends. With
   * `sparing`, the line feed at their very end stays unread.
   */
  async headers({ sparing = false } = {}): Promise<Map<string, string> | undefined> {
    const headers = new Map<string, string>();
    for (;;) {
      if (sparing && await this.#next() === carriageReturn) return headers;
      const line = await this.line(sparing ? 1 : undefined);
      if (line === undefined) return undefined;
      if (line === "") return headers;
      const colon = line.indexOf(":");
      if (colon > 0) headers.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim());
    }
  }

  /** The next `count` bytes as text; undefined when the input ends. */
  async text(count: number): Promise<string | undefined> {
    // Never reading on leaves what follows in the socket.
    while (this.#end - this.#start < count) {
      if (!await this.#read(count - this.#end + this.#start)) return undefined;
    }
    const text = decoder.decode(this.#buffer.subarray(this.#start, this.#start + count));
    this.#start += count;
    return text;
  }

  /** Passes over everything up to the end of the input; then it is false. */
  async drain(): Promise<false> {
    do this.#start = this.#end; while (await this.#read(bufferBytes));
    return false;
  }

  async #next(): Promise<number | undefined> {
    if (this.#start === this.#end) await this.#read(1);
    return this.#start < this.#end ? this.#buffer[this.#start] : undefined;
  }

  async #read(count: number): Promise<boolean> {
    this.#buffer.copyWithin(0, this.#start, this.#end);
    this.#end -= this.#start;
    this.#start = 0;
    if (this.#end === this.#buffer.length) {
      const larger = new Uint8Array(2 * this.#end);
      larger.set(this.#buffer);
      this.#buffer = larger;
    }
    const room = this.#buffer.subarray(this.#end, this.#end + count);
    const length = await this.#connection.read(room);
    this.#end += length ?? 0;
    return length !== null;
  }
}

/** The first line of a call. */
interface RequestLine {
  readonly method: string;
  readonly target: string;
  readonly protocol: string;
}

/** What follows the first line. */
interface RequestRest {
  readonly headers: ReadonlyMap<string, string>;
  readonly body: SentBody;
}

/** Whether a call asks for a change. */
export function isChange(method: string): boolean {
  return method !== "GET" && method !== "HEAD";
}

/** Reads the first line of a call; undefined at the end of the input. */
export async function readLine(
  input: ByteInput,
  readBytes?: number,
): Promise<RequestLine | undefined> {
  const line = await input.line(readBytes);
  if (line === undefined) return undefined;
  const [method = "", sent = "", protocol = ""] = line.split(" ");
  // Some clients name the host here too, as they would to a proxy.
  return { method, target: sent.replace(/^http:\/\/[^/]*/, ""), protocol };
}

/** Reads the header fields and the body; undefined when the input ends before. */
export async function readRest(input: ByteInput): Promise<RequestRest | undefined> {
  const headers = await input.headers();
  const text = headers && await input.text(bodyBytes(headers));
  if (headers === undefined || text === undefined) return undefined;
  return { headers, body: { text, type: headers.get("content-type") ?? "" } };
}

/**
 * Reads as much as tells what the call asks for, and leaves its last byte unread, so that the socket
 * is reset when it is closed now. That byte is known: a body is a JSON object.
 */
export async function readSparingly(input: ByteInput): Promise<SentBody | undefined> {
  const headers = await input.headers({ sparing: true });
  if (!headers) return undefined;
  const type = headers.get("content-type") ?? "";
  const bytes = bodyBytes(headers);
  if (bytes === 0) return { text: "", type };
  if (await input.line(1) === undefined) return undefined;
  const text = await input.text(bytes - 1);
  return text === undefined ? undefined : { text: `${text}}`, type };
}

function bodyBytes(headers: ReadonlyMap<string, string>): number {
  return Number(headers.get("content-length") ?? 0);
}

/** Newer calls are refused. */
export const maximumApiMinor = 41;
/** The real engine's HTTP library buffers this much before it gives up on a Content-Length. */
const chunkedAboveBytes = 2048;
const engineHeaders = {
  "Api-Version": `1.${maximumApiMinor}`,
  "Docker-Experimental": "false",
  "Ostype": "linux",
  "Server": "Docker/20.10.24 (linux)",
};
/** The whole answer to what is no call. */
export const badRequest =
  "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n" +
  "Connection: close\r\n\r\n400 Bad Request";

/** An answer before it is put into bytes. */
export interface Reply {
  status: number;
  body: string;
  headers: Record<string, string>;
}

/** An answer in JSON. */
export function json(status: number, value: unknown): Reply {
  const headers = { ...engineHeaders, "Content-Type": "application/json" };
  return { status, headers, body: JSON.stringify(value) + "\n" };
}

/** An answer in plain text. */
export function plain(body: string): Reply {
  const headers = { ...engineHeaders, "Content-Type": "text/plain; charset=utf-8" };
  return { status: 200, headers, body };
}

/** An answer without a body. */
export function empty(status: number): Reply {
  return { status, headers: engineHeaders, body: "" };
}

/** A refusal in the words of the engine. */
export function failure(status: number, message: string): Reply {
  return json(status, { message });
}

/** A whole answer in bytes; `chunked` by length, as the real engine does it, unless told. */
export function frame(
  reply: Reply,
  close: boolean,
  chunked = reply.body.length > chunkedAboveBytes,
): Uint8Array<ArrayBuffer> {
  const length = encode(reply.body).length;
  // These two statuses never have a body, and so no length of it.
  const isBare = reply.status === 204 || reply.status === 304;
  const head = headOf(reply, {
    "Date": new Date().toUTCString(),
    ...(isBare
      ? {}
      : chunked
      ? { "Transfer-Encoding": "chunked" }
      : { "Content-Length": `${length}` }),
    ...(close ? { "Connection": "close" } : {}),
  });
  if (isBare) return encode(head);
  if (!chunked) return encode(head + reply.body);
  const size = length.toString(16);
  return encode(`${head}${size}\r\n${reply.body}\r\n0\r\n\r\n`);
}

/** The status line and the headers of an answer, the empty line included. */
export function headOf(reply: Reply, more: Record<string, string>): string {
  const fields = Object.entries({ ...reply.headers, ...more });
  const text = fields.map(([name, value]) => `${name}: ${value}\r\n`).join("");
  return `HTTP/1.1 ${reply.status} ${STATUS_CODES[reply.status] ?? "Unknown"}\r\n${text}\r\n`;
}

/** How many of the bytes of an answer are its head. */
export function headLength(bytes: Uint8Array): number {
  return new TextDecoder("latin1").decode(bytes).indexOf("\r\n\r\n") + 4;
}

/** A text as one chunk; an empty one is the end. */
export function chunk(text: string): Uint8Array<ArrayBuffer> {
  return encode(`${encode(text).length.toString(16)}\r\n${text}\r\n`);
}

/** A text in UTF-8. */
export function encode(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}
