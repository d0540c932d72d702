import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { EngineError } from "../../docker/errors.ts";
import { LogParser, maximumLineBytes, SharedMemory } from "../../logs/container_log.ts";
import { lineFrames, logFrame, timestampAt } from "../support/engine/logs.ts";
import { encode } from "../support/engine/http.ts";
import type { SeededRandom } from "../support/random.ts";
import { joined, mutateBytes } from "./hostile.ts";
import type { Target } from "./target.ts";

const memoryBytes = 64 * 1024;
const lineFeed = 10;

/** A stream of a log, and the lines in it with their timestamps; null when it was damaged. */
interface Stream {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly lines: readonly (readonly [timestamp: string, line: Uint8Array])[] | null;
}

/** Returns bytes without a line feed. */
function lineOf(random: SeededRandom): Uint8Array {
  const length = random.pick([0, 1, 7, random.below(200), random.below(200), 16_383, 16_384]) +
    (random.isOneIn(30) ? random.below(40_000) : 0);
  const bytes = random.isOneIn(3)
    ? random.bytes(Math.min(length, 500))
    : new Uint8Array(length).fill(120);
  return bytes.map((byte) => byte === lineFeed ? 0 : byte);
}

function streamOf(random: SeededRandom): Stream {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  const lines: [string, Uint8Array][] = [];
  for (let index = random.few(30); index > 0; index--) {
    const timestamp = timestampAt(1_767_323_045_000 + random.below(3), random.below(2));
    const line = lineOf(random);
    parts.push(...lineFrames(timestamp, joined([line, Uint8Array.of(lineFeed)])));
    lines.push([timestamp, line.subarray(0, maximumLineBytes)]);
  }
  const bytes = joined(parts);
  if (!random.isOneIn(2)) return { bytes, lines };
  const tokens = [
    "\n",
    " ",
    "\x01\0\0\0\0\0\0\0",
    "\x01\0\0\0\xff\xff\xff\xff",
    "2026-01-02T03:04:05Z ",
  ];
  const faults = 1 + random.few(6);
  const damaged = random.any(
    () => mutateBytes(bytes, random, { faults, tokens }),
    () => random.bytes(random.below(2_000)),
    () => logFrame(encode(`2026-01-02T03:04:05Z ${"x".repeat(random.below(200_000))}`)),
  );
  return { bytes: damaged, lines: null };
}

/** Reads a stream as it arrives, in parts of any size. */
function parse({ bytes }: Stream, random: SeededRandom, memory: SharedMemory) {
  const lines: [string, Uint8Array][] = [];
  const parser = new LogParser(memory, random.isOneIn(2));
  // Many small parts of a long stream would take long.
  const largest = Math.max(random.pick([1, 50, 5_000, 100_000]), Math.floor(bytes.length / 1_000));
  try {
    for (let at = 0; at < bytes.length;) {
      const space = parser.space();
      assert.ok(space.length > 0, "no space");
      const count = Math.min(space.length, 1 + random.below(largest), bytes.length - at);
      space.set(bytes.subarray(at, at + count));
      parser.added(count);
      at += count;
      for (let line = parser.next(); line !== null; line = parser.next()) {
        assert.ok(line.length <= maximumLineBytes, "a line is too long");
        assert.ok(!line.includes(lineFeed), "a line feed in a line");
        lines.push([parser.timestamp, line.slice()]);
      }
    }
    const last = parser.last();
    if (last) lines.push([parser.timestamp, last.slice()]);
  } finally {
    parser.close();
  }
  return lines;
}

function textOf([timestamp, line]: readonly [timestamp: string, line: Uint8Array]): string {
  return `${timestamp} ${Buffer.from(line).toString("latin1")}`;
}

/** Opens the target: the engine's stream of a log, right or not, until it is split into lines. */
export function open(): Target {
  return {
    run(random) {
      const stream = streamOf(random);
      const memory = new SharedMemory(memoryBytes);
      try {
        const lines = parse(stream, random, memory);
        if (stream.lines) assert.deepEqual(lines.map(textOf), stream.lines.map(textOf));
        return stream.lines ? "lines" : "other lines";
      } catch (error) {
        if (!(error instanceof EngineError) || stream.lines) throw error;
        return "refused";
      } finally {
        assert.ok(memory.take(memoryBytes), "memory is lost");
      }
    },
  };
}
