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
/** What a line counts at least: its callback and position take 200 bytes, also if it is held back. */
const minimumCost = 128;
/** While lines of so many bytes are not written, there is no room for more. */
const maximumUnsent = 2 * blockBytes;

/** Frames in one piece of memory. */
class Block {
  readonly bytes = new Uint8Array(blockBytes);
  readonly onSafe: (() => void)[] = [];
  used = 0;
  frames = 0;
  cost = 0;
  /** How much of each is written; `counted` frames were so at some time. */
  written = 0;
  writtenCost = 0;
  counted = 0;
}

/** What is to be written next. */
interface Portion {
  readonly bytes: Uint8Array;
  readonly block: Block;
  readonly frames: number;
  readonly cost: number;
  /** In milliseconds since 1970. */
  readonly madeAt: number;
}

/** Frames that are not written yet, or that may have to be written again. */
export class ResendWindow {
  /** Oldest first; the last one takes more. */
  readonly #blocks: Block[] = [];
  /** How many blocks, all but the last, are wholly written, and what they count. */
  #writtenBlocks = 0;
  #writtenCost = 0;
  #unsentCost = 0;
  #unsentBytes = 0;
  #unsentSince: number | null = null;
  /** Whether all is kept, and no more written: the listener may still refuse the connection. */
  keepsAll = false;

  get isFull(): boolean {
    return this.#unsentCost >= maximumUnsent;
  }

  get unsentBytes(): number {
    return this.#unsentBytes;
  }

  /** When the oldest frame that is not written came, in milliseconds since 1970, or null. */
  get unsentSince(): number | null {
    return this.#unsentSince;
  }

  /** Adds a line as a frame. */
  add(line: Uint8Array, onSafe: () => void): void {
    const head = `${line.length} `;
    const length = head.length + line.length;
    const block = this.#addTo(length, Math.max(length, minimumCost), onSafe);
    encoder.encodeInto(head, block.bytes.subarray(block.used));
    block.bytes.set(line, block.used + head.length);
    block.used += length;
    block.frames++;
    this.#unsentBytes += length;
    this.#unsentSince ??= Date.now();
  }

  /** Adds a line that is not sent: it is safe once those before it are. */
  hold(onSafe: () => void): void {
    if (this.#blocks.length === 0) onSafe();
    else this.#addTo(0, minimumCost, onSafe);
  }

  #addTo(length: number, cost: number, onSafe: () => void): Block {
    let block = this.#blocks.at(-1);
    if (!block || block.used + length > blockBytes || block.cost >= blockBytes) block = this.seal();
    block.cost += cost;
    block.onSafe.push(onSafe);
    this.#unsentCost += cost;
    return block;
  }

  /** Begins a new block, which keeps apart what comes from now on. */
  seal(): Block {
    const block = new Block();
    this.#blocks.push(block);
    return block;
  }

  /** Returns what is to be written next, or null. */
  next(): Portion | null {
    for (;;) {
      if (this.keepsAll && this.#writtenCost >= windowBytes) return null;
      const block = this.#blocks[this.#writtenBlocks];
      if (!block) return null;
      const { frames, cost } = block;
      const bytes = block.bytes.subarray(block.written, block.used);
      if (bytes.length > 0) return { bytes, block, frames, cost, madeAt: Date.now() };
      // Lines that are held back may have come since.
      this.#spend(block, cost);
      if (this.#writtenBlocks === this.#blocks.length - 1) return null;
      this.#writtenBlocks++;
      this.#writtenCost += cost;
      this.#slide();
    }
  }

  /** Records that a portion is written; returns how many of its frames never were before. */
  written({ bytes, block, frames, cost, madeAt }: Portion): number {
    const first = Math.max(0, frames - block.counted);
    block.counted += first;
    block.written += bytes.length;
    this.#spend(block, cost);
    this.#unsentBytes -= bytes.length;
    this.#unsentSince = this.#unsentBytes === 0 ? null : madeAt;
    return first;
  }

  #spend(block: Block, cost: number): void {
    this.#unsentCost -= cost - block.writtenCost;
    block.writtenCost = cost;
  }

  /** Lets the blocks go after which enough was written. */
  #slide(): void {
    if (this.keepsAll) return;
    while (this.#writtenBlocks > 0 && this.#writtenCost - this.#blocks[0]!.cost >= windowBytes) {
      const { cost, onSafe } = this.#blocks.shift()!;
      this.#writtenBlocks--;
      this.#writtenCost -= cost;
      for (const call of onSafe) call();
    }
  }

  /** Makes all frames unwritten, after a connection that may have lost them. */
  rewind(): void {
    for (const block of this.#blocks) {
      this.#unsentBytes += block.written;
      this.#unsentCost += block.writtenCost;
      block.written = block.writtenCost = 0;
    }
    // Blocks at the front that only hold lines back would take room, and are never written.
    this.release();
    if (this.#unsentBytes > 0) this.#unsentSince ??= Date.now();
  }

  /** Lets all blocks go that are wholly written: the listener has them. */
  release(): void {
    this.#writtenBlocks = this.#writtenCost = 0;
    while (this.#blocks.length > 0 && this.#blocks[0]!.written === this.#blocks[0]!.used) {
      const block = this.#blocks.shift()!;
      this.#spend(block, block.cost);
      for (const call of block.onSafe) call();
    }
  }
}
