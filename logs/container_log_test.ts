import assert from "node:assert/strict";
import { EngineError } from "../docker/errors.ts";
import { TimeoutSet } from "../host/timeouts.ts";
import { withEngine } from "../tests/support/engine/client.ts";
import type { FakeEngine } from "../tests/support/engine/fake_engine.ts";
import { lineFrames, logFrame, timestampAt } from "../tests/support/engine/logs.ts";
import { container } from "../tests/support/engine/state.ts";
import { ClockWatcher } from "./clock.ts";
import {
  ContainerLog,
  LogParser,
  type LogPosition,
  maximumLineBytes,
  MissingLineError,
  SharedMemory,
} from "./container_log.ts";

const [encoder, decoder] = [new TextEncoder(), new TextDecoder()];
const first = "2026-01-02T03:04:05.000000001Z";
const second = "2026-01-02T03:04:05.000000002Z";

/** Returns the lines of a stream that arrives in parts of so many bytes, each with its timestamp. */
function parse(
  bytes: Uint8Array,
  partBytes: number,
  parser = new LogParser(new SharedMemory(1e9)),
) {
  const lines: [timestamp: string, line: string][] = [];
  for (let at = 0; at < bytes.length;) {
    const part = bytes.subarray(at, at + partBytes);
    const space = parser.space();
    const taken = part.subarray(0, space.length);
    space.set(taken);
    parser.added(taken.length);
    at += taken.length;
    for (let line = parser.next(); line !== null; line = parser.next()) {
      lines.push([parser.timestamp, decoder.decode(line)]);
    }
  }
  const last = parser.last();
  if (last) lines.push([parser.timestamp, `${decoder.decode(last)} (no line feed)`]);
  parser.close();
  return lines;
}

/** Checks the lines of a stream, in parts of many sizes. */
function assertLines(frames: Uint8Array[], expected: [string, string][], sharesTimestamp = true) {
  const bytes = new Uint8Array(frames.flatMap((it) => [...it]));
  for (const partBytes of [1, 7, 40, 1000, 16_384, 1e6]) {
    const parser = new LogParser(new SharedMemory(1e9), sharesTimestamp);
    assert.deepEqual(parse(bytes, partBytes, parser), expected, `parts of ${partBytes}`);
  }
}

Deno.test("LogParser.next() returns lines, however the stream is cut", () => {
  assertLines([
    ...lineFrames(first, "one\n"),
    ...lineFrames(first, "\n"),
    ...lineFrames(second, "zwölf \r\n"),
    ...lineFrames(second, " \ttail"),
  ], [[first, "one"], [first, ""], [second, "zwölf \r"], [second, " \ttail (no line feed)"]]);
  // Several lines in one frame.
  assertLines(lineFrames(first, "one\n\ntwo\n"), [[first, "one"], [first, ""], [first, "two"]]);
});

Deno.test("LogParser.next() joins the pieces of a line", () => {
  for (const length of [16_383, 16_384, 16_385, 32_768]) {
    const line = "é".repeat(length).slice(0, length / 2);
    assertLines([...lineFrames(first, `${line}\n`), ...lineFrames(first, "next\n")], [
      [first, line],
      [first, "next"],
    ]);
  }
});

Deno.test("LogParser.next() ends a line of a container that ended in it", () => {
  assertLines([...lineFrames(first, "tail"), ...lineFrames(second, "new\n")], [
    [first, "tail"],
    [second, "new"],
  ]);
  // Podman gives each piece its own time.
  const frames = [...lineFrames(first, "tail"), ...lineFrames(second, "-new\n")];
  assertLines(frames, [[second, "tail-new"]], false);
});

Deno.test("LogParser.next() cuts a line, or a frame, that is too long for it", () => {
  const line = `${"x".repeat(100_000)}\n`;
  for (const frames of [lineFrames(first, line), [logFrame(encoder.encode(`${first} ${line}`))]]) {
    assertLines([...frames, ...lineFrames(second, "next\n")], [
      [first, "x".repeat(maximumLineBytes)],
      [second, "next"],
    ]);
  }
});

Deno.test("LogParser.next() cuts lines when the shared memory is used up", () => {
  const memory = new SharedMemory(20_000);
  const frames = lineFrames(first, `${"x".repeat(40_000)}\n`);
  const bytes = new Uint8Array(frames.flatMap((it) => [...it]));
  const [a, b] = [new LogParser(memory), new LogParser(memory)];
  for (const parser of [a, b]) {
    parser.space().set(frames[0]!);
    parser.added(frames[0]!.length);
    assert.equal(parser.next(), null);
  }
  assert.equal(memory.cutLines, 1);
  a.close();
  b.close();
  // All of it was given back.
  assert.equal(parse(bytes, 1000, new LogParser(memory))[0]![1].length, 16_384);
  assert.equal(memory.take(20_000), true);
});

Deno.test("LogParser.next() refuses what is no log", () => {
  const streams = [
    logFrame(encoder.encode(`${first} x\n`), 2),
    logFrame(encoder.encode("no-timestamp\n")),
    logFrame(new Uint8Array()),
    logFrame(encoder.encode("x".repeat(100))),
    encoder.encode("9".repeat(100)),
    encoder.encode(`${first} of a TTY`),
    new Uint8Array(100).fill(255),
    encoder.encode("<html>  </html>".repeat(10)),
  ];
  for (const stream of streams) assert.throws(() => parse(stream, 1000), EngineError);
});

Deno.test("LogParser.next() throws why the engine cannot read a log", () => {
  const message = "Error grabbing logs: invalid character '\\x00'";
  const line = logFrame(encoder.encode(`${first} x\n`));
  const error = logFrame(encoder.encode(`${message}\n`), 3);
  for (const size of [1, 7, 1000]) {
    assert.throws(() => parse(new Uint8Array([...line, ...error]), size), { message });
  }
});

const web = container({ name: "web" });

/** Opens the log of `web`. */
function open(
  engine: FakeEngine,
  after: LogPosition | null,
  { signal = new AbortController().signal } = {},
) {
  return ContainerLog.open(signal, {
    socket: engine.socketPath,
    id: web.Id,
    after,
    clock: new ClockWatcher(),
    memory: new SharedMemory(1e6),
    timeouts: new TimeoutSet(),
  });
}

/** Reads so many lines. */
async function read(log: ContainerLog, count: number): Promise<string[]> {
  const lines: string[] = [];
  while (lines.length < count) {
    const line = log.next();
    if (line) lines.push(decoder.decode(line));
    else if (!await log.fill()) break;
  }
  return lines;
}

/** Defines a test with an engine that runs `web`. */
function test(title: string, run: (engine: FakeEngine) => Promise<void>): void {
  Deno.test(title, () =>
    withEngine(async (engine) => {
      engine.containers = [web];
      await run(engine);
    }));
}

test("ContainerLog follows a log, and goes on from its position", async (engine) => {
  const [a, b] = [timestampAt(Date.now() - 1000, 1), timestampAt(Date.now() - 1000, 2)];
  for (const line of ["1\n", "2\n"]) engine.logs.print(web.Id, line, a);
  for (const line of ["3\n", "4\n", "5\n"]) engine.logs.print(web.Id, line, b);
  const log = await open(engine, null);
  assert.deepEqual(await read(log, 4), ["1", "2", "3", "4"]);
  const { position } = log;
  assert.deepEqual(position, { timestamp: b, lines: 2 });
  engine.logs.print(web.Id, "6\n");
  assert.deepEqual(await read(log, 2), ["5", "6"]);
  log.close();
  const next = await open(engine, position);
  assert.deepEqual(await read(next, 2), ["5", "6"]);
  engine.logs.end(web.Id);
  assert.deepEqual(await read(next, 1), []);
  next.close();
});

test("ContainerLog.fill() throws once closed, also with a full buffer", async (engine) => {
  for (const isAborted of [false, true]) {
    const abort = new AbortController();
    const log = await open(engine, null, { signal: abort.signal });
    const frames = Array.from({ length: 1_000 }, () => lineFrames(first, "x".repeat(100))).flat();
    engine.logs.write(web.Id, new Uint8Array(await new Blob(frames).arrayBuffer()));
    // Without `next()`, nothing makes room.
    for (let calls = 0; calls < 1_000; calls++) await log.fill();
    if (isAborted) abort.abort(new EngineError({ reason: "client-closed" }));
    else log.close();
    await assert.rejects(log.fill(), EngineError);
    log.close();
  }
});

test("ContainerLog finds its position among lines of about the same time", async (engine) => {
  const at = Date.now() - 60_000;
  const times = [timestampAt(at, 1), timestampAt(at, 2), timestampAt(at, 2), timestampAt(at, 3)];
  for (const [index, time] of times.entries()) engine.logs.print(web.Id, `${index}\n`, time);
  // The clock was set back before the last line.
  engine.logs.print(web.Id, "last\n", timestampAt(at - 1_000));
  for (const [timestamp, lines, next] of [[1, 1, "1"], [2, 1, "2"], [2, 2, "3"]] as const) {
    const log = await open(engine, { timestamp: timestampAt(at, timestamp), lines });
    assert.deepEqual(await read(log, 1), [next]);
    await read(log, 3 - Number(next));
    assert.deepEqual(await read(log, 1), ["last"]);
    log.close();
  }
});

test("L12 ContainerLog throws when the engine has removed lines", async (engine) => {
  engine.logs.print(web.Id, "9\n");
  const log = await open(engine, { timestamp: first, lines: 1 });
  await assert.rejects(read(log, 1), MissingLineError);
  log.close();
  const next = await open(engine, { timestamp: first, lines: 0 });
  assert.deepEqual(await read(next, 1), ["9"]);
  next.close();
});

test("L16 ContainerLog reads all again after the clock was set back", async (engine) => {
  engine.logs.print(web.Id, "1\n");
  const log = await open(engine, { timestamp: timestampAt(Date.now() + 60_000), lines: 1 });
  assert.equal(log.since, null);
  assert.deepEqual(await read(log, 1), ["1"]);
  log.close();
});

test("ContainerLog.open() throws what the engine answers", async (engine) => {
  engine.containers = [];
  await assert.rejects(open(engine, null), /GET \/containers\/ID\/logs was answered with 404/);
  engine.fault = { kind: "garbage" };
  await assert.rejects(open(engine, null), /the answer is not HTTP/);
  engine.fault = { kind: "truncated", chunked: true };
  await assert.rejects(open(engine, null), EngineError);
});
