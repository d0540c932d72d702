import assert from "node:assert/strict";
import { maximumLineBytes, readLine, ResendWindow } from "../../logs/frames.ts";
import { FrameReader } from "../support/log_listener.ts";
import type { SeededRandom } from "../support/random.ts";
import { encode, hostileText, mutateBytes, spoilt } from "./hostile.ts";
import type { Target } from "./target.ts";

const dates = [
  "2026-01-02T03:04:05.678901+00:00|2026-01-02T03:04:05Z|2024-02-29T23:59:59-23:59|-|x",
  "2026-02-29T00:00:00Z|2026-01-02T03:04:60Z|2026-01-02T24:00:00Z|0000-01-01T00:00:00Z",
  "2026-01-02t03:04:05z|20260102T030405Z|2026-W01-1|2026-13-01T00:00:00Z|9999-12-31T23:59:59Z",
].flatMap((line) => line.split("|"));
const texts = ['[relay@55555 src_ip="192.0.2.9"]', "- text", "-", "[", "é€\u{1f600}", "\r", " "];

/** The bytes of a line without its line feed, of the form that the master reads for the most part. */
function hostileLine(random: SeededRandom): Uint8Array<ArrayBuffer> {
  const rarely = random.pick([2, 10, 1_000]);
  const odd = (text: string) => random.isOneIn(rarely) ? spoilt(text, random) : text;
  const field = () =>
    random.isOneIn(rarely) ? hostileText(random) : random.pick(["web01", "http", "-", "request"]);
  const priority = odd(random.pick(["<134>1", "<0>1", "<999>1", "<14>1"]));
  const head = [priority, odd(random.pick(dates)), field(), field(), field(), field()];
  const text = [...head, random.pick(texts)].join(odd(" "));
  const long = random.isOneIn(20) ? random.pick(["a", "é", "€", "\u{1f600}"]).repeat(20_000) : "";
  const line = encode(random.isOneIn(5) ? hostileText(random) + long : text + long);
  const faults = random.isOneIn(2) ? 0 : random.few(6);
  return mutateBytes(line, random, { faults, tokens: dates }).filter((byte) => byte !== 0x0a);
}

/** The fields of a line of the form that the master reads, or null: read without the agent's pattern. */
function fieldsOf(text: string): string[] | null {
  const fields = text.split(" ");
  const rest = fields.slice(6).join(" ");
  const isForm = /^<\p{Nd}+>1$/u.test(fields[0]!) && fields.slice(1, 6).every((it) => it !== "");
  return isForm && rest !== "" ? fields.slice(1, 6) : null;
}

/** Throws where the master would stop at a date, or its database at a field. */
function checkFields([date = "", ...others]: readonly string[]): void {
  assert.match(date, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)$/);
  const utc = `${date.slice(0, 19)}Z`;
  assert.equal(new Date(utc).toISOString().replace(/\.\d+/, ""), utc, date);
  assert.ok(date >= "1000" && !/[+-](2[4-9]|[3-9]\d|\d\d:[6-9])/.test(date.slice(19)), date);
  assert.ok(others.every((field) => field.length <= 255), date);
}

/** Checks what is sent of one line. */
function checkLine(line: Uint8Array): string {
  const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(line);
  // deno-lint-ignore no-control-regex
  const trimmed = text.replace(/[ \t-\r\x1c-\x1f]+$/, "");
  const read = readLine(line);
  if (read === null) {
    if (trimmed === "") return "blank";
    const fields = fieldsOf(trimmed);
    assert.ok(fields, "a line without the form was held back");
    assert.throws(() => checkFields(fields), "a line that the master can read was held back");
    return "held back";
  }
  const { bytes, isCut } = read;
  assert.ok(bytes.length > 0 && bytes.length <= maximumLineBytes && !bytes.includes(0x0a));
  const sent = new TextDecoder("utf-8", { ignoreBOM: true, fatal: true }).decode(bytes);
  const fields = fieldsOf(sent);
  if (fields) checkFields(fields);
  if (isCut) {
    assert.ok(bytes.length > maximumLineBytes - 4);
    return "cut";
  }
  assert.equal(sent, trimmed);
  return sent.includes("\ufffd") ? "not UTF-8" : fields ? "of the form" : "other text";
}

/** Checks that all lines reach a listener in order, over connections that are lost at any point. */
function checkWindow(lines: readonly Uint8Array[], random: SeededRandom): void {
  const safe = new Map<string, number>();
  const window = new ResendWindow((container, { lines }) => {
    assert.ok((safe.get(container) ?? -1) < lines, "a position goes back");
    safe.set(container, lines);
  });
  let frames: string[] = [];
  let reader = new FrameReader(() => {});
  const connect = () => {
    reader = new FrameReader((frame) => frames.push(new TextDecoder().decode(frame)));
  };
  connect();
  // How many frames have left the window for good.
  let done: string[] = [];
  const sent: string[] = [];
  const write = () => {
    const portion = window.next();
    if (!portion) return;
    const arrived = random.isOneIn(9) ? random.below(portion.bytes.length) : portion.bytes.length;
    assert.ok(reader.read(portion.bytes.subarray(0, arrived)));
    if (arrived === portion.bytes.length) window.written(portion);
    else lose();
  };
  const lose = () => {
    frames = [];
    connect();
    window.rewind();
  };
  const end = () => {
    while (window.unsentBytes > 0) write();
    window.seal();
    window.release();
    done = done.concat(frames);
    frames = [];
    connect();
  };
  const expected = new Map<string, number>();
  for (const [index, line] of lines.entries()) {
    const read = readLine(line);
    const container = random.pick(["a", "b", "c"]);
    const position = { timestamp: "", lines: index };
    expected.set(container, index);
    if (read === null) window.hold(container, position);
    else {
      sent.push(new TextDecoder().decode(read.bytes));
      window.add(read.bytes, container, position);
    }
    random.any(
      write,
      write,
      () => {},
      () => random.isOneIn(4) && lose(),
      () => random.isOneIn(8) && end(),
    );
  }
  end();
  assert.deepEqual(done, sent);
  assert.deepEqual(safe, expected);
  assert.equal(window.unsentSince, null);
}

/** Opens the target: the lines of containers. */
export function open(): Target {
  return {
    run: (random) => {
      const outcome = checkLine(hostileLine(random));
      if (random.isOneIn(4)) {
        checkWindow(random.times(random.few(200), () => hostileLine(random)), random);
      }
      return Promise.resolve(outcome);
    },
  };
}
