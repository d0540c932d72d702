import assert from "node:assert/strict";
import { requirement, works } from "../tests/support/requirements.ts";
import { maximumLineBytes, readLine, ResendWindow } from "./frames.ts";

const encode = (text: string) => new TextEncoder().encode(text);
const decode = (bytes: Uint8Array) => new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
/** What is sent of a text; null when it is held back. */
const sentOf = (text: string) => {
  const read = readLine(encode(text));
  return read && decode(read.bytes);
};

/** A line of the form that the master reads, with this date. */
const dated = (date: string) =>
  `<134>1 ${date} web01 http - request [relay@55555 src_ip="192.0.2.9"]`;

Deno.test("readLine() passes lines on as they are", () => {
  const lines = [
    dated("2026-01-02T03:04:05.678901+00:00"),
    '<14>1 2026-01-02T03:04:07.1+00:00 web02 bash - command [timeQuality tzKnown="1"] CMD id',
    "<0>1 2026-01-02T03:04:05Z h a 1234 - - text",
    ...[
      "free text",
      "<",
      "<>1 x",
      "<134>",
      "\u{1f600} é \u2028 \ufeff x",
      "\ufeff<134>1 - a b c d e",
    ],
    ...["a\rb", "\0\x1b[31m", "  leading", "<134>1 - h a - m", "<134>2 - h a - m -"],
    ...["<x>1 - h a - m -", " <134>1 - h a - m -", "<134>1  - h a - m", "<134>1\t- h a - m -"],
  ];
  for (const line of lines) assert.equal(sentOf(line), line);
});

Deno.test("readLine() removes white space at the end, and blank lines", () => {
  for (const text of ["a\r", "a \t\v\f\x1c\x1d\x1e\x1f\r"]) assert.equal(sentOf(text), "a");
  assert.equal(sentOf("\xa0"), "\xa0");
  for (const text of ["", " ", "\r", "\t\t \r"]) assert.equal(sentOf(text), null);
});

const readable = [
  ...["2026-01-02T03:04:05+00:00", "2024-02-29T00:00:00Z", "2000-02-29T23:59:59.9-23:59"],
  ...["1000-01-01T00:00:00Z", "9999-12-31T23:59:59.999999+14:00", "2026-04-30T00:00:00.123Z"],
];
const unreadable = [
  ...["-", "x", "2026-01-02", "2026-01-02T03:04", "2026-01-02T03:04:05", "20260102T030405Z"],
  ...["2026-02-30T00:00:00Z", "2026-02-29T00:00:00Z", "1900-02-29T00:00:00Z"],
  ...["2026-04-31T00:00:00Z", "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z"],
  ...["2026-01-00T00:00:00Z", "2026-01-32T00:00:00Z", "2026-01-02T24:00:00Z"],
  ...["2026-01-02T03:60:00Z", "2026-01-02T03:04:60Z", "2026-01-02t03:04:05Z"],
  ...["2026-01-02T03:04:05z", "0000-01-01T00:00:00Z", "0001-01-01T00:00:00Z"],
  ...["10000-01-01T00:00:00Z", "-2026-01-02T03:04:05Z", "2026-01-02T03:04:05.Z"],
  ...["2026-01-02T03:04:05.1234567Z", "2026-01-02T03:04:05+24:00", "2026-01-02T03:04:05+00:60"],
  ...["2026-01-02T03:04:05+0000", "2026-01-02T03:04:05+00", "٢٠٢٦-01-02T03:04:05Z", "\u2028"],
  ...["2026-01-02T03:04:05\u00a0Z", "\ufeff2026-01-02T03:04:05Z"],
];

Deno.test("readLine() holds back lines whose date the master cannot read", () => {
  for (const date of readable) assert.equal(sentOf(dated(date)), dated(date));
  for (const date of unreadable) {
    assert.equal(sentOf(dated(date)), null, date);
    // The master's pattern may take other digits than 0 to 9, and line ends but LF in the text.
    assert.equal(sentOf(dated(date).replace("134", "١٣٤")), null, date);
    assert.equal(sentOf(`<1>1 ${date} h a - m \r\u2028\x85x`), null, date);
  }
});

Deno.test("readLine() holds back header fields of over 255 characters", () => {
  const line = (...fields: string[]) => `<134>1 2026-01-02T03:04:05Z ${fields.join(" ")} text`;
  const [most, more] = ["h".repeat(255), "h".repeat(256)];
  assert.equal(sentOf(line(most, most, most, most)), line(most, most, most, most));
  for (const at of [0, 1, 2, 3]) {
    const fields = ["h", "a", "-", "m"].with(at, more);
    assert.equal(sentOf(line(...fields)), null, String(at));
  }
});

const python = requirement("python3", await works("python3", "--version"));

python.test("readLine() passes only dates that Python reads", async () => {
  const lines = [...readable, ...unreadable].filter((date) => sentOf(dated(date)) !== null);
  assert.deepEqual(lines, readable);
  const program = "import sys, datetime\n" +
    "for date in sys.stdin.read().split('\\n'):\n" +
    "    datetime.datetime.fromisoformat(date.replace('Z', '+00:00'))\n";
  const child = new Deno.Command("python3", { args: ["-c", program], stdin: "piped" }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(encode(lines.join("\n")));
  await writer.close();
  assert.equal((await child.status).code, 0);
});

Deno.test("readLine() cuts a long line between two characters", () => {
  const cutOf = (bytes: Uint8Array) => {
    const read = readLine(bytes)!;
    return [read.bytes.length, read.isCut];
  };
  const most = maximumLineBytes;
  assert.deepEqual(cutOf(encode("a".repeat(most))), [most, false]);
  assert.deepEqual(cutOf(encode("a".repeat(most + 1))), [most, true]);
  assert.deepEqual(cutOf(encode("a".repeat(most) + "   ")), [most, false]);
  // Two, three and four bytes a character.
  for (const [character, bytes] of [["é", 2], ["€", 3], ["\u{1f600}", 4]] as const) {
    for (const start of ["", "a", "aa", "aaa"]) {
      const text = start + character.repeat(most);
      const whole = start.length + Math.floor((most - start.length) / bytes) * bytes;
      assert.deepEqual(cutOf(encode(text)), [whole, true], character);
      assert.ok(text.startsWith(sentOf(text)!));
    }
  }
});

Deno.test("readLine() replaces bytes that are not UTF-8, and cuts after that", () => {
  const sent = (...bytes: number[]) => decode(readLine(Uint8Array.from(bytes))!.bytes);
  assert.equal(sent(0x61, 0xff, 0x62), "a\ufffdb");
  assert.equal(sent(0xc3, 0xa9, 0xc3), "é\ufffd");
  assert.equal(sent(0xed, 0xa0, 0x80), "\ufffd\ufffd\ufffd");
  assert.equal(decode(readLine(encode("a\ufffdb"))!.bytes), "a\ufffdb");
  for (const byte of [0xff, 0x80, 0xf0]) {
    const { bytes, isCut } = readLine(new Uint8Array(40_000).fill(byte))!;
    assert.ok(isCut && bytes.length <= maximumLineBytes && bytes.length > maximumLineBytes - 3);
    assert.match(new TextDecoder("utf-8", { fatal: true }).decode(bytes), /^\ufffd+$/);
  }
});

/** A window whose lines all are of one container, each with its number; calls back when one is safe. */
class TestWindow extends ResendWindow {
  #count = 0;

  constructor(onSafe: (count: number) => void = () => {}) {
    super((_container, { lines }) => onSafe(lines));
  }

  addLine(text: string): void {
    this.add(encode(text), "a", { timestamp: "", lines: ++this.#count });
  }

  holdLine(): void {
    this.hold("a", { timestamp: "", lines: ++this.#count });
  }

  /** Writes all that there is; returns the text. */
  writeAll(): string {
    let text = "";
    for (let portion = this.next(); portion; portion = this.next()) {
      text += decode(portion.bytes);
      this.written(portion);
    }
    return text;
  }
}

Deno.test("ResendWindow makes frames by bytes, and writes each once", () => {
  const window = new TestWindow();
  for (const line of ["a", "é€", "\u{1f600}"]) window.addLine(line);
  assert.equal(window.writeAll(), "1 a5 é€4 \u{1f600}");
  window.addLine("b");
  const portion = window.next()!;
  window.addLine("c");
  assert.equal(window.written(portion), 1);
  assert.equal(window.writeAll(), "1 c");
  assert.equal(window.next(), null);
  assert.equal(window.unsentSince, null);
});

Deno.test("ResendWindow writes all again that is not safe", () => {
  let safe = 0;
  const window = new TestWindow((count) => safe = count);
  window.addLine("a");
  window.writeAll();
  window.addLine("b");
  window.rewind();
  assert.notEqual(window.unsentSince, null);
  const portion = window.next()!;
  assert.equal(decode(portion.bytes), "1 a1 b");
  // Only b is written for the first time.
  assert.equal(window.written(portion), 1);
  window.seal();
  window.addLine("c");
  assert.equal(safe, 0);
  window.release();
  assert.equal(safe, 2);
  window.rewind();
  assert.equal(window.writeAll(), "1 c");
});

Deno.test("ResendWindow keeps the last MiB", () => {
  let [safe, most] = [0, 0];
  const window = new TestWindow((count) => safe = count);
  const text = "x".repeat(1_000);
  const count = 5_000;
  for (let added = 1; added <= count; added++) {
    window.addLine(text);
    if (added % 50 === 0) window.writeAll();
    most = Math.max(most, added - safe);
    // Of what is safe, at least one MiB was written after it.
    assert.ok(safe === 0 || (added - safe) * 1_005 > 2 ** 20 - 2 ** 16);
  }
  assert.ok(most * 1_005 < 2 ** 20 + 4 * 2 ** 16, `${most} lines`);
  window.rewind();
  assert.equal(window.writeAll().length, (count - safe) * 1_005);
});

Deno.test("ResendWindow keeps all, and writes a MiB, while that is asked for", () => {
  const window = new TestWindow(() => assert.fail("a line is safe"));
  window.keepsAll = true;
  for (let added = 0; added < 5_000; added++) window.addLine("x".repeat(1_000));
  const { length } = window.writeAll();
  assert.ok(length >= 2 ** 20 && length < 2 ** 20 + 2 ** 16, String(length));
});

Deno.test("ResendWindow passes over lines that are held back after earlier ones", () => {
  const safe: number[] = [];
  const window = new TestWindow((count) => safe.push(count));
  window.holdLine();
  assert.deepEqual(safe, [1]);
  window.addLine("a");
  for (let times = 0; times < 100_000; times++) window.holdLine();
  assert.deepEqual([safe, window.isFull], [[1], false]);
  window.writeAll();
  window.rewind();
  assert.deepEqual(safe, [1]);
  window.writeAll();
  window.release();
  assert.deepEqual(safe, [1, 100_002]);
});

Deno.test("ResendWindow has no room while much waits", () => {
  const window = new TestWindow();
  let count = 0;
  for (; !window.isFull; count++) window.addLine("b".repeat(1_000));
  assert.ok(count * 1_005 < 2 * 2 ** 16 + 1_005, String(count));
  for (let times = 0; times < 3; times++) {
    window.writeAll();
    assert.ok(!window.isFull);
    window.rewind();
    assert.ok(window.isFull);
  }
});
