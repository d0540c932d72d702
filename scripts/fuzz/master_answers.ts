import { joined, mutateBytes } from "./byte_mutations.ts";
import type { Chance } from "./chance.ts";
import { hostileText } from "./hostile_texts.ts";

const numbers = [
  ..."0 1 5 3600 -1 +5 1.5 1e3 0x10 ٣ Infinity NaN 007 5;q=1".split(" "),
  "9".repeat(400),
]
  .concat(" 5", "5 ", "5, 5", "");
const dates = [
  "Sun, 22 Nov 2026 21:00:00 GMT",
  "Sunday, 22-Nov-26 21:00:00 GMT",
  "Sun Nov 22 21:00:00 2026",
  "Fri, 31 Dec 9999 23:59:59 GMT",
  "Thu, 01 Jan 1970 00:00:00 GMT",
  "Wed, 32 Foo 20266 99:99:99 GMT",
  "2026-11-22T21:00:00Z",
  "Mon",
  "Dec 1 -271821",
  "Jan 1 275761",
];
const tokens = [
  ..."HTTP/1.1 200 OK\r\n|HTTP/1.1 100 Continue\r\n\r\n|\r\n|\n|0\r\n\r\n|Connection: close\r\n|\0|:"
    .split("|"),
  ..."Content-Length: 7\r\n|Content-Length: -1\r\n|Transfer-Encoding: chunked\r\n|ffffffffffffffff\r\n"
    .split("|"),
  ..."Upgrade: websocket\r\n|HTTP/1.1 101 Switching\r\n\r\n|HTTP/1.1 103 Early\r\n\r\n|Trailer: x\r\n"
    .split("|"),
];

/** A value for `Retry-After`. */
export function retryAfter(chance: Chance): string {
  return chance.any(
    () => chance.pick(numbers),
    () => chance.pick(dates),
    () => String(chance.below(2 ** 32)),
    () => hostileText(chance),
    () => chance.pick(["Mon ", "A", "1", "(", " "]).repeat(chance.few(5_000)),
  );
}

/** Why a beat is not accepted, as a master or somebody else would say it. */
export function refusalText(chance: Chance): string {
  return chance.any(
    () => JSON.stringify({ detail: hostileText(chance) }),
    () => hostileText(chance),
    () => `<html>${"<b>x</b>\n".repeat(chance.few(9_000))}`,
    () => chance.pick(["\0", " ", "\n", "😀", "\ud800"]).repeat(chance.few(9_000)),
  );
}

/** An answer as it comes over the wire; the connection is closed after it. */
export function masterBytes(chance: Chance): Uint8Array<ArrayBuffer> {
  const rarely = chance.pick([3, 1_000]);
  const status = chance.pick(["204 No Content", "200 OK", "403 x", "404 x", "422 x", "429 x"]
    .concat("500 x", "503 x", "302 Found", "304 x", "100 Go", "101 x", "600 x", "99 x", "1000 x"));
  const body = encode(chance.isOneIn(200) ? "x".repeat(200_000) : refusalText(chance));
  const fields = chance.times(chance.few(chance.isOneIn(50) ? 900 : 4), () =>
    chance.any(
      () => `Retry-After: ${retryAfter(chance).replace(/[^\x20-\x7e]/g, "")}\r\n`,
      () => `X: ${"y".repeat(chance.few(9_000))}\r\n`,
      () => "Content-Type: application/json\r\n",
      () => chance.isOneIn(rarely) ? hostileText(chance) : "",
    ));
  const length = chance.isOneIn(rarely) ? chance.below(100_000) : body.length;
  const framing = chance.any(
    () => [encode(`Content-Length: ${length}\r\n\r\n`), body],
    () => [
      encode(`Transfer-Encoding: chunked\r\n\r\n${length.toString(16)}\r\n`),
      body,
      encode("\r\n0\r\n\r\n"),
    ],
    () => [encode("\r\n"), body],
  );
  const bytes = joined([encode(`HTTP/1.1 ${status}\r\n${fields.join("")}`), ...framing]);
  if (!chance.isOneIn(rarely)) return bytes;
  return mutateBytes(bytes, chance, { faults: 1 + chance.few(6), tokens });
}

function encode(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}
