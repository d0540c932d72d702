import type { SeededRandom } from "../support/random.ts";
import { randomDocument, words } from "./random_document.ts";

/** Characters that steer a terminal, end a line, or are no characters at all. */
const oddCharacters = [
  ..."\0\x01\x07\b\t\n\v\f\r\x1b\x1f\x7f\x80\x85\x9b\xa0\xad",
  ..."\u061c\u200b\u200e\u202e\u2028\u2029\u2066\ufeff\ufffd\uffff\u0130\u212a\ufb01",
  "\ud800",
  "\udc00",
  "\ud83d\ude00",
  "e\u0301",
];

const pathTricks = [
  "../../etc/passwd|/|//|.|..|a/../b|%2e%2e%2f|..%2f|a%00b|a?b=c|a#b|a b|a+b|~root|-rf|--help",
  "/var/run/docker.sock|\\\\host\\x|C:\\|file:///etc/shadow|unix:///x|http://a/|constructor",
  "$(id)|`id`|;id|{service}|%s%n|'|\"|<script>|*|?|[a|a]|a:b:c|a@b@c|__proto__|hasOwnProperty",
  "toString|null|true|0|-0|1e999|NaN|container:x|host|none|bridge|default",
].flatMap((line) => line.split("|"));

const names = [
  ..."a b|a/b|a:b|a@b|a\nb|a\0b|a%20b|aéb|a,b|a=b|a\\b|a$b|a\u2028b|| ".split("|"),
  ...words("a A 0 a.b a-b a_b a- a. a_ -a .a _a A.B lan-00 LAN-00 decky-001 web web-ssh ssh"),
  ...[62, 63, 64, 300].map((length) => "a".repeat(length)),
];

const addresses = [
  ...words(`
    0.0.0.0 255.255.255.255 127.0.0.1 169.254.169.254 224.0.0.1 10.0.0.0 10.0.0.1 10.0.0.2
    10.0.0.255 010.0.0.2 0x0a.0.0.2 10.0.2 167772162 10.0.0.256 10.0.0.-1 10.0.0.2/24 ::1
    ::ffff:10.0.0.2 10.0.0.2. .10.0.0.2 10..0.2 1e1.0.0.2 ١٠.0.0.2 10.0.0.2%eth0 [::1]
  `),
  ...[" 10.0.0.2", "10.0.0.2\n"],
];

const subnets = words(`
  0.0.0.0/0 10.0.0.0/8 10.0.0.0/7 10.0.0.0/30 10.0.0.0/31 10.0.0.0/32 10.0.0.0/33 10.0.0.1/24
  10.0.0.0/024 10.0.0.0/+24 10.0.0.0/24/24 10.0.0.0/ /24 10.0.0.0 127.0.0.0/8 169.254.0.0/16
  224.0.0.0/24 240.0.0.0/8 0.0.0.0/8 fd00::/64 10.0.0.0/1e1 10.0.0.0/-1 172.17.0.0/16
  192.168.0.0/16 198.18.0.0/15 255.255.255.0/24 10.0.0.0/255.255.255.0
`);

const digest = `sha256:${"0a".repeat(32)}`;
const images = [
  ...words(`
    ssh ssh:1 a/b/c:d localhost/a localhost:5000/a:1 host.example:443/a/b reg:5000/x -x x- a..b
    a/../../b a//b /a a/ a:b:c a:.b a:-b a@sha256:00 A/b a/B a__b a___b a--b a.-b a_.b .a _a
    --privileged -v/:/host a?fromSrc=- a/json?x=y a%2f..%2fb a#b a\\b a:latest@sha1:00 a,b a=b
  `),
  ...[`a@${digest}`, `a:1@${digest}`, digest, digest.toUpperCase(), `${digest}0`, "a--".repeat(80)],
  ...[
    `x/${"a".repeat(253)}`,
    `x/${"a".repeat(254)}`,
    `a:${"b".repeat(128)}`,
    `a:${"b".repeat(129)}`,
  ],
  ...["a b", "a\nb", ""],
];

const ids = [
  "7c9e6679-7425-40de-944b-e07fc1f90ae7|7c9e6679|7c9e6679........|a|a_______|12345678-|".split("|"),
  ["a".repeat(64), "a".repeat(65)],
].flat();

/** What a text of a document stands for. */
export type TextKind = "name" | "id" | "address" | "subnet" | "image" | "any";

const byKind: Readonly<Record<TextKind, readonly string[]>> = {
  name: names,
  id: ids,
  address: addresses,
  subnet: subnets,
  image: images,
  any: ["", "x"],
};

/** A text that may have been meant to do harm, at the place of one of this kind. */
export function hostileText(random: SeededRandom, kind: TextKind = "any"): string {
  const special = byKind[kind];
  return random.any(
    () => random.pick(special),
    () => random.pick(special),
    () => random.pick(pathTricks),
    () => random.pick(Object.values(byKind).flat()),
    () => randomText(random),
    () => spoilt(random.pick(special), random),
    () => spoilt(random.pick(special), random),
    () => random.pick(["a", "..", "-", "\0", "\ud800", "é", " "]).repeat(random.few(3_000)),
  );
}

/** A text with a character too many, too few, or in another case. */
export function spoilt(text: string, random: SeededRandom): string {
  const at = random.below(text.length + 1);
  return random.any(
    () => text.slice(0, at) + random.pick(oddCharacters) + text.slice(at),
    () => text.slice(0, at) + random.pick([..." ./:@-_%?#\\\"' {}"]) + text.slice(at),
    () => text.slice(0, at) + text.slice(at + 1),
    () => text.slice(0, at),
    () => text + text,
    () => text.toUpperCase(),
    () => text + random.pick(pathTricks),
  );
}

/** Characters of any kind. */
function randomText(random: SeededRandom): string {
  return random.times(random.few(40), () =>
    random.any(
      () => random.pick(oddCharacters),
      () => String.fromCharCode(random.below(0x10000)),
      () => String.fromCharCode(0x20 + random.below(0x5f)),
      () => String.fromCharCode(0x20 + random.below(0x5f)),
    )).join("");
}

const oddBytes = [0x00, 0x09, 0x0a, 0x0d, 0x20, 0x22, 0x2c, 0x3a, 0x5b, 0x5c, 0x7b, 0x7f, 0x80]
  .concat(0xc0, 0xed, 0xff);

/** The bytes with up to so many faults in them; `tokens` are put in now and then. */
export function mutateBytes(
  bytes: Uint8Array<ArrayBuffer>,
  random: SeededRandom,
  { faults, tokens = [] }: { faults: number; tokens?: readonly string[] },
): Uint8Array<ArrayBuffer> {
  let result = bytes;
  for (let count = 0; count < faults; count++) {
    const at = random.below(result.length + 1);
    const length = Math.min(random.few(64), result.length - at);
    const splice = (removed: number, put: Uint8Array<ArrayBuffer>) =>
      joined([result.subarray(0, at), put, result.subarray(at + removed)]);
    result = random.any(
      () => splice(1, Uint8Array.of(random.below(256))),
      () => splice(1, Uint8Array.of((result[at] ?? 0) ^ (1 << random.below(8)))),
      () => splice(random.below(2), Uint8Array.of(random.pick(oddBytes))),
      () => splice(length, new Uint8Array()),
      () => splice(0, result.slice(at, at + length)),
      () => splice(0, random.bytes(random.few(16))),
      () => random.isOneIn(4) ? result.slice(0, at) : result,
      () =>
        tokens.length > 0 ? splice(random.below(2) * length, encode(random.pick(tokens))) : result,
    );
  }
  return result;
}

/** Returns the bytes of a text. */
export function encode(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}

/** Returns a body in the chunks of HTTP; `extension` gives one for a chunk, or nothing. */
export function chunked(
  body: Uint8Array,
  size: number,
  extension = () => "",
): Uint8Array<ArrayBuffer> {
  const parts: Uint8Array[] = [];
  for (let at = 0; at < body.length; at += size) {
    const part = body.subarray(at, at + size);
    parts.push(encode(`${part.length.toString(16)}${extension()}\r\n`), part, encode("\r\n"));
  }
  return joined([...parts, encode("0\r\n\r\n")]);
}

/** Returns several pieces as one. */
export function joined(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

const answerTokens = [
  "HTTP/1.1 200 OK\r\n|HTTP/1.1 100 Continue\r\n\r\n|HTTP/1.0|HTTP/2|\r\n|\n|\r\n\r\n|0\r\n\r\n|:|\0",
  "Content-Length: 5\r\n|Content-Length: 99999999999999\r\n|Content-Length: -1\r\n|1;x=y\r\n|-1\r\n",
  "Transfer-Encoding: chunked\r\n|Transfer-Encoding: gzip, chunked\r\n|Content-Length: 1, 1\r\n",
  "Connection: close\r\n|ffffffffffffffff\r\n|Upgrade: websocket\r\n|Trailer: x\r\n",
  "HTTP/1.1 101 Switching\r\n\r\n|HTTP/1.1 103 Early\r\n\r\n",
].flatMap((line) => line.split("|"));

/** Returns an answer of HTTP in one form or another; one in `rarely` is not right. */
export function answerBytes(
  random: SeededRandom,
  { status, fields, body, rarely }: {
    status: string;
    fields: readonly string[];
    body: Uint8Array;
    rarely: number;
  },
): Uint8Array<ArrayBuffer> {
  const length = random.isOneIn(rarely) ? random.below(100_000) : body.length;
  const size = Math.max(random.pick([1, 7, 1_000, 1_000_000]), Math.ceil(body.length / 2_000));
  const chunks = () => chunked(body, size, () => random.isOneIn(50) ? ";a=b" : "");
  const [field, content] = random.any<[string, Uint8Array]>(
    () => [`Content-Length: ${length}\r\n`, body],
    () => ["Transfer-Encoding: chunked\r\n", chunks()],
    () => ["Connection: close\r\n", body],
  );
  const head = `HTTP/1.1 ${status}\r\n${fields.join("")}${field}\r\n`;
  const bytes = joined([encode(head), content]);
  if (!random.isOneIn(rarely)) return bytes;
  return mutateBytes(bytes, random, { faults: 1 + random.few(6), tokens: answerTokens });
}

/**
 * JSON as it can be written, not only as it can be read: keys may stand twice, and a leaf is any
 * text, also of what is no JSON.
 */
export type Tree = Leaf | List | Members;

type Leaf = { raw: string };
type List = { items: Tree[] };
/** An object; the keys are written as they are, with their quotes. */
type Members = { members: [key: string, value: Tree][] };

/** The tree of a value that `JSON.parse` could have made. */
export function treeOf(value: unknown): Tree {
  if (Array.isArray(value)) return { items: value.map(treeOf) };
  if (typeof value !== "object" || value === null) return { raw: JSON.stringify(value) };
  const members = Object.entries(value);
  return { members: members.map(([key, item]) => [JSON.stringify(key), treeOf(item)]) };
}

/** The text of a tree. */
export function write(tree: Tree): string {
  if ("raw" in tree) return tree.raw;
  if ("items" in tree) return `[${tree.items.map(write).join(",")}]`;
  return `{${tree.members.map(([key, value]) => `${key}:${write(value)}`).join(",")}}`;
}

/** A place in a tree that holds another tree; has a key in an object only. */
interface Slot {
  readonly list: (Tree | [string, Tree])[];
  readonly index: number;
  readonly key: string;
  readonly value: Tree;
}

/** Every place in a tree, the inner ones after the outer ones. */
function slotsOf(tree: Tree): Slot[] {
  if ("raw" in tree) return [];
  const list: (Tree | [string, Tree])[] = "items" in tree ? tree.items : tree.members;
  return list.flatMap((entry, index) => {
    const [key, value] = Array.isArray(entry) ? entry : ["", entry];
    return [{ list, index, key, value }, ...slotsOf(value)];
  });
}

const numbers = words("0 -0 -1 1 1.0 1e5 1e999 -1e999 1e-999 0.1 9007199254740993 4294967296")
  .concat("2147483648", "1".repeat(400), `0.${"1".repeat(400)}`);
/** What is no JSON, or only nearly so. */
const brokenTokens =
  'NaN Infinity undefined 01 .5 1. +1 0x10 \'a\' {a:1} [1,] {,} // /**/ nul True "\\u12" "\\x"'
    .split(" ").concat('"\n"', '"\0"', '"', "");
const kindByKey: readonly (readonly [pattern: RegExp, kind: TextKind])[] = [
  [/name|services|^"?$/, "name"],
  [/subnet/, "subnet"],
  [/ip|LAN|lan/, "address"],
  [/image/, "image"],
  [/id/, "id"],
];

/** Changes a tree in place, in up to so many ways, keeping it JSON for the most part. */
export function mutateTree(tree: Tree, random: SeededRandom, times: number): void {
  for (let count = 0; count < times; count++) {
    const slots = slotsOf(tree);
    if (slots.length === 0) return;
    const { list, index, key, value } = random.pick(slots);
    const kind = kindByKey.find(([pattern]) => pattern.test(key))?.[1] ?? "any";
    const put = (value: Tree, newKey = key) => {
      list[index] = Array.isArray(list[index]) ? [newKey, value] : value;
    };
    random.any<unknown>(
      () => put(textLeaf(hostileText(random, kind))),
      () => put(textLeaf(hostileText(random, kind))),
      () => put(textLeaf(hostileText(random, kind))),
      () => put(oddValue(random)),
      () => put({ items: [value] }),
      () => put({ members: [[oddKey(random), value]] }),
      // Written out: a tree that held itself would have no end.
      () => put({ raw: write(random.pick(slots).value) }),
      () => list.splice(index, 1),
      () => list.push(list[index]!),
      () => put(value, random.any(() => oddKey(random), () => random.pick(slots).key)),
      () => put(deep(random, value)),
      () => put({ raw: randomDocument(random) }),
    );
  }
}

function textLeaf(text: string): Tree {
  return { raw: JSON.stringify(text) };
}

/** A value of another type, or none. */
function oddValue(random: SeededRandom): Tree {
  const raw = random.any(
    () => random.pick(["null", "true", "false", "{}", "[]", '""', "[[]]", "[{}]"]),
    () => random.pick(numbers),
    () => random.isOneIn(3) ? random.pick(brokenTokens) : "null",
    () => `[${random.times(random.few(200), () => random.pick(numbers)).join(",")}]`,
  );
  return { raw };
}

function oddKey(random: SeededRandom): string {
  return random.any(
    () => JSON.stringify(hostileText(random)),
    () => random.pick(['"__proto__"', '"constructor"', '"\\u0069d"', '"status"', '"version"']),
    () => `"${random.below(2 ** 32)}"`,
  );
}

/** A value at the bottom of a pit. */
function deep(random: SeededRandom, value: Tree): Tree {
  const depth = random.pick([1, 10, 240, 250, 256, 257, 300, 5_000]);
  const [open, close] = random.pick([["[", "]"], ['{"a":', "}"]] as const);
  return { raw: open.repeat(depth) + write(value) + close.repeat(random.isOneIn(9) ? 0 : depth) };
}
