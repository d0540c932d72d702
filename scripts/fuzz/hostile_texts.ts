import type { Chance } from "./chance.ts";

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
  ..."../../etc/passwd|/|//|.|..|a/../b|%2e%2e%2f|..%2f|a%00b|a?b=c|a#b|a b|a+b|~root".split("|"),
  ..."/var/run/docker.sock|\\\\host\\x|C:\\|file:///etc/shadow|unix:///x|http://a/|-rf|--help"
    .split(
      "|",
    ),
  ..."$(id)|`id`|;id|{service}|%s%n|'|\"|<script>|*|?|[a|a]|a:b:c|a@b@c|__proto__|constructor"
    .split(
      "|",
    ),
  ..."hasOwnProperty|toString|null|true|0|-0|1e999|NaN|container:x|host|none|bridge|default".split(
    "|",
  ),
];

const names = [
  ..."a b|a/b|a:b|a@b|a\nb|a\0b|a%20b|aéb|a,b|a=b|a\\b|a$b|a\u2028b".split("|"),
  ..."a A 0 a.b a-b a_b a- a. a_ -a .a _a A.B lan-00 LAN-00 decky-001 web web-ssh ssh".split(" "),
  "",
  " ",
  "a".repeat(62),
  "a".repeat(63),
  "a".repeat(64),
  "a".repeat(300),
];

const addresses = [
  ..."0.0.0.0 255.255.255.255 127.0.0.1 169.254.169.254 224.0.0.1 10.0.0.0 10.0.0.1 10.0.0.2".split(
    " ",
  ),
  ..."10.0.0.255 010.0.0.2 0x0a.0.0.2 10.0.2 167772162 10.0.0.256 10.0.0.-1 10.0.0.2/24 ::1".split(
    " ",
  ),
  ..."::ffff:10.0.0.2 10.0.0.2. .10.0.0.2 10..0.2 1e1.0.0.2 ١٠.0.0.2 10.0.0.2%eth0 [::1]".split(
    " ",
  ),
  " 10.0.0.2",
  "10.0.0.2\n",
];

const subnets = [
  ..."0.0.0.0/0 10.0.0.0/8 10.0.0.0/7 10.0.0.0/30 10.0.0.0/31 10.0.0.0/32 10.0.0.0/33".split(" "),
  ..."10.0.0.1/24 10.0.0.0/024 10.0.0.0/+24 10.0.0.0/24/24 10.0.0.0/ /24 10.0.0.0 127.0.0.0/8"
    .split(
      " ",
    ),
  ..."169.254.0.0/16 224.0.0.0/24 240.0.0.0/8 0.0.0.0/8 fd00::/64 10.0.0.0/1e1 10.0.0.0/-1".split(
    " ",
  ),
  ..."172.17.0.0/16 192.168.0.0/16 198.18.0.0/15 255.255.255.0/24 10.0.0.0/255.255.255.0".split(
    " ",
  ),
];

const digest = `sha256:${"0a".repeat(32)}`;
const images = [
  ..."ssh ssh:1 a/b/c:d localhost/a localhost:5000/a:1 host.example:443/a/b reg:5000/x -x x- a..b"
    .split(
      " ",
    ),
  ..."a/../../b a//b /a a/ a:b:c a:.b a:-b a@sha256:00 A/b a/B a__b a___b a--b a.-b a_.b .a _a"
    .split(
      " ",
    ),
  ..."--privileged -v/:/host a?fromSrc=- a/json?x=y a%2f..%2fb a#b a\\b a:latest@sha1:00 a,b a=b"
    .split(" "),
  `a@${digest}`,
  `a:1@${digest}`,
  digest,
  digest.toUpperCase(),
  `${digest}0`,
  `x/${"a".repeat(253)}`,
  `x/${"a".repeat(254)}`,
  `a:${"b".repeat(128)}`,
  `a:${"b".repeat(129)}`,
  "a--".repeat(80),
  "a b",
  "a\nb",
  "",
];

const ids = [
  "7c9e6679-7425-40de-944b-e07fc1f90ae7",
  "7c9e6679",
  "7c9e6679........",
  "a",
  "a_______",
  "12345678-",
  "a".repeat(64),
  "a".repeat(65),
  "",
];

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
export function hostileText(chance: Chance, kind: TextKind = "any"): string {
  const special = byKind[kind];
  return chance.any(
    () => chance.pick(special),
    () => chance.pick(special),
    () => chance.pick(pathTricks),
    () => chance.pick(Object.values(byKind).flat()),
    () => randomText(chance),
    () => spoilt(chance.pick(special), chance),
    () => spoilt(chance.pick(special), chance),
    () => chance.pick(["a", "..", "-", "\0", "\ud800", "é", " "]).repeat(chance.few(3_000)),
  );
}

/** A text with a character too many, too few, or in another case. */
export function spoilt(text: string, chance: Chance): string {
  const at = chance.below(text.length + 1);
  return chance.any(
    () => text.slice(0, at) + chance.pick(oddCharacters) + text.slice(at),
    () => text.slice(0, at) + chance.pick([..." ./:@-_%?#\\\"' {}"]) + text.slice(at),
    () => text.slice(0, at) + text.slice(at + 1),
    () => text.slice(0, at),
    () => text + text,
    () => text.toUpperCase(),
    () => text + chance.pick(pathTricks),
  );
}

/** Characters of any kind. */
export function randomText(chance: Chance): string {
  return chance.times(chance.few(40), () =>
    chance.any(
      () => chance.pick(oddCharacters),
      () => String.fromCharCode(chance.below(0x10000)),
      () => String.fromCharCode(0x20 + chance.below(0x5f)),
      () => String.fromCharCode(0x20 + chance.below(0x5f)),
    )).join("");
}
