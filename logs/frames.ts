import type { LogPosition } from "./container_log.ts";

/** A line has at most so many bytes; longer ones could stop the master's ingestion. */
export const maximumLineBytes = 32 * 1024;

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
const encoder = new TextEncoder();

/** The form of lines that the master reads, with anything in place of the date. */
const form = /^<\p{Nd}+>1 [^ ]+ [^ ]+ [^ ]+ [^ ]+ [^ ]+ ./su;
/** That form with a date that the master can read, and fields that its database can hold. */
const readableForm = new RegExp(
  String.raw`^<\d+>1 ([1-9]\d{3})-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])` +
    String
      .raw`T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,6})?(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)` +
    " [^ ]{1,255} [^ ]{1,255} [^ ]{1,255} [^ ]{1,255} .",
  "s",
);

/**
 * Returns what is sent of a line; null for one that is held back: a blank one, and one that would stop
 * the master's ingestion, by a date that does not exist or a field that is too long.
 */
export function readLine(line: Uint8Array): { bytes: Uint8Array; isCut: boolean } | null {
  let end = line.length;
  while (end > 0 && isSpace(line[end - 1]!)) end--;
  if (end === 0) return null;
  let bytes = cut(line.subarray(0, end));
  const text = decoder.decode(bytes);
  if (bytes[0] === 0x3c && form.test(text) && !isReadable(text)) return null;
  const isCut = bytes.length < end;
  // In place of bytes that are not UTF-8; three bytes for one.
  if (!text.includes("\ufffd")) return { bytes, isCut };
  const encoded = encoder.encode(text);
  bytes = cut(encoded);
  return { bytes, isCut: isCut || bytes.length < encoded.length };
}

/** Returns true for the white space of ASCII, with the four separators. */
function isSpace(byte: number): boolean {
  return byte === 0x20 || (byte >= 0x09 && byte <= 0x0d) || (byte >= 0x1c && byte <= 0x1f);
}

function isReadable(text: string): boolean {
  const [, year, month, day] = readableForm.exec(text) ?? [];
  if (day === undefined) return false;
  return Number(day) <= 28 || Number(day) <= new Date(Number(year), Number(month), 0).getDate();
}

/** Cuts a line that is too long, between two characters. */
function cut(bytes: Uint8Array): Uint8Array {
  if (bytes.length <= maximumLineBytes) return bytes;
  let end = maximumLineBytes;
  // No character has more than three bytes of continuation.
  while (end > maximumLineBytes - 3 && (bytes[end]! & 0xc0) === 0x80) end--;
  return bytes.subarray(0, end);
}

/** Of what was written last, so many bytes are kept, to be sent again. */
const windowBytes = 2 ** 20;
const blockBytes = 64 * 1024;
/** While so many bytes are not written, there is no room for more. */
const maximumUnsent = 2 * blockBytes;

/** Frames in one piece of memory. */
class Block {
  readonly bytes = new Uint8Array(blockBytes);
  /** After the last line of each container in it, by the container's id. */
  readonly positions = new Map<string, LogPosition>();
  used = 0;
  frames = 0;
  /** How many bytes are written. */
  written = 0;
  /** How many frames were written at some time. */
  counted = 0;
}

/** What is to be written next. */
interface Portion {
  readonly bytes: Uint8Array;
  readonly block: Block;
  /** How many frames of the block are written then. */
  readonly frames: number;
  /** In milliseconds since 1970. */
  readonly madeAt: number;
}

/** Is called with the position of a container, up to which no line has to be sent again. */
export type OnSafe = (container: string, position: LogPosition) => void;

/** Frames that are not written yet, or that may have to be written again. */
export class ResendWindow {
  readonly #onSafe: OnSafe;
  /** Oldest first; the last one takes more. */
  readonly #blocks: Block[] = [];
  #writtenBytes = 0;
  /** Bytes of frames that are not written. */
  unsentBytes = 0;
  /** When the oldest of them came, in milliseconds since 1970, or null. */
  unsentSince: number | null = null;
  /** Whether all is kept, and only so much written: the listener may still refuse the connection. */
  keepsAll = false;

  constructor(onSafe: OnSafe) {
    this.#onSafe = onSafe;
  }

  get isFull(): boolean {
    return this.unsentBytes >= maximumUnsent;
  }

  /** Adds a line as a frame; `position` is the one after it. */
  add(line: Uint8Array, container: string, position: LogPosition): void {
    const head = `${line.length} `;
    const length = head.length + line.length;
    let block = this.#blocks.at(-1);
    if (!block || block.used + length > blockBytes) block = this.seal();
    encoder.encodeInto(head, block.bytes.subarray(block.used));
    block.bytes.set(line, block.used + head.length);
    block.used += length;
    block.frames++;
    block.positions.set(container, position);
    this.unsentBytes += length;
    this.unsentSince ??= Date.now();
  }

  /** Passes over a line that is not sent: it is safe once those before it are. */
  hold(container: string, position: LogPosition): void {
    const block = this.#blocks.at(-1);
    if (block) block.positions.set(container, position);
    else this.#onSafe(container, position);
  }

  /** Begins a new block, which keeps apart what comes from now on. */
  seal(): Block {
    const block = new Block();
    this.#blocks.push(block);
    return block;
  }

  /** Returns what is to be written next, or null. */
  next(): Portion | null {
    if (this.keepsAll && this.#writtenBytes >= windowBytes) return null;
    const block = this.#blocks.find(({ written, used }) => written < used);
    if (!block) return null;
    const bytes = block.bytes.subarray(block.written, block.used);
    return { bytes, block, frames: block.frames, madeAt: Date.now() };
  }

  /** Records that a portion is written; returns how many of its frames never were before. */
  written({ bytes, block, frames, madeAt }: Portion): number {
    const first = Math.max(0, frames - block.counted);
    block.counted += first;
    block.written += bytes.length;
    this.#writtenBytes += bytes.length;
    this.unsentBytes -= bytes.length;
    this.unsentSince = this.unsentBytes === 0 ? null : madeAt;
    const isEnough = () => this.#writtenBytes - this.#blocks[0]!.used >= windowBytes;
    while (!this.keepsAll && isEnough()) this.#dropFirst();
    return first;
  }

  /** Makes all frames unwritten, after a connection that may have lost them. */
  rewind(): void {
    for (const block of this.#blocks) block.written = 0;
    this.unsentBytes += this.#writtenBytes;
    this.#writtenBytes = 0;
    if (this.unsentBytes > 0) this.unsentSince ??= Date.now();
  }

  /** Lets all blocks go that are wholly written: the listener has them. */
  release(): void {
    while (this.#blocks.length > 0 && this.#blocks[0]!.written === this.#blocks[0]!.used) {
      this.#dropFirst();
    }
  }

  #dropFirst(): void {
    const { written, positions } = this.#blocks.shift()!;
    this.#writtenBytes -= written;
    for (const [container, position] of positions) this.#onSafe(container, position);
  }
}
