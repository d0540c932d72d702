import assert from "node:assert/strict";
import {
  bodyLimit,
  byteByByte,
  chunkedHead,
  type Cut,
  cuts,
  cutShort,
  encode,
  head,
  read,
  summary,
  whole,
} from "../tests/support/answer_streams.ts";
import { SeededRandom } from "../tests/support/random.ts";
import { ResponseReader } from "./http.ts";

const wellFormed: [name: string, stream: string, answers: [status: number, body: string][]][] = [
  ["a length", `${head}Content-Length: 5\r\n\r\n[1,2]`, [[200, "[1,2]"]]],
  ["a length of nothing", `${head}Content-Length: 0\r\n\r\n`, [[200, ""]]],
  ["header names in any case", `${head}CONTENT-length:2\r\n\r\n[]`, [[200, "[]"]]],
  ["no reason", "HTTP/1.1 500\r\nContent-Length: 2\r\n\r\n{}", [[500, "{}"]]],
  ["HTTP/1.0", "HTTP/1.0 404 Not Found\r\nContent-Length: 2\r\n\r\n{}", [[404, "{}"]]],
  ["one chunk", `${chunkedHead}5\r\n[1,2]\r\n0\r\n\r\n`, [[200, "[1,2]"]]],
  ["no chunk", `${chunkedHead}0\r\n\r\n`, [[200, ""]]],
  ["chunks", `${chunkedHead}1\r\n[\r\n0000003\r\n1,2\r\n1\r\n]\r\n0\r\n\r\n`, [[200, "[1,2]"]]],
  ["a chunk with line ends", `${chunkedHead}A\r\n\r\n0\r\n\r\n0\r\n\r\n0\r\n\r\n`, [[
    200,
    "\r\n0\r\n\r\n0\r\n",
  ]]],
  ["chunk extensions", `${chunkedHead}2;a=b\r\n[]\r\n0 ;last\r\n\r\n`, [[200, "[]"]]],
  ["a length, too", `${head}Content-Length: 99\r\n${chunkedHead.slice(17)}0\r\n\r\n`, [[200, ""]]],
  ["no content", "HTTP/1.1 204 No Content\r\nServer: x\r\n\r\n", [[204, ""]]],
  [
    "1xx answers before one",
    `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nContent-Length: 9\r\n\r\n${head}` +
    "Content-Length: 2\r\n\r\n[]",
    [[200, "[]"]],
  ],
  [
    "answers one after another",
    `${head}Content-Length: 2\r\n\r\n[]${chunkedHead}2\r\n{}\r\n0\r\n\r\n` +
    `HTTP/1.1 304 Not Modified\r\n\r\n${head}Content-Length: 1\r\n\r\n7`,
    [[200, "[]"], [200, "{}"], [304, ""], [200, "7"]],
  ],
];

for (const [name, stream, answers] of wellFormed) {
  Deno.test(`ResponseReader.next() reads ${name}, in pieces`, async () => {
    for (const cut of cuts()) {
      const { reader } = read(stream, cut);
      for (const expected of answers) assert.deepEqual(summary(await reader.next()), expected);
      await assert.rejects(reader.next(), cutShort);
    }
  });

  Deno.test(`ResponseReader.next() rejects ${name}, cut anywhere`, async () => {
    for (let length = 0; length < stream.length; length++) {
      for (const cut of [whole, byteByByte]) {
        const { reader } = read(stream.slice(0, length), cut);
        const got: unknown[] = [];
        await assert.rejects(async () => {
          for (;;) got.push(summary(await reader.next()));
        }, cutShort);
        assert.ok(got.length < answers.length);
        assert.deepEqual(got, answers.slice(0, got.length));
      }
    }
  });
}

Deno.test("ResponseReader.next() knows the last answer of a connection", async () => {
  const cases: [fields: string, isLast: boolean][] = [
    ["HTTP/1.1 200 OK\r\nContent-Length: 0", false],
    ["HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive, x", false],
    ["HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: closed", false],
    ["HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close", true],
    ["HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\nConnection: x", true],
    ["HTTP/1.1 200 OK\r\nContent-Length: 0\r\nCONNECTION: x,Close", true],
    ["HTTP/1.1 200 OK", true],
    ["HTTP/1.1 204 No Content", false],
    ["HTTP/1.1 304 Not Modified", false],
    ["HTTP/1.1 100 Continue\r\nConnection: close\r\n\r\nHTTP/1.1 204 No Content", false],
    ["HTTP/1.0 200 OK\r\nContent-Length: 0", true],
    ["HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: Keep-Alive", false],
    ["HTTP/1.0 200 OK\r\nConnection: keep-alive", true],
  ];
  for (const [fields, isLast] of cases) {
    assert.equal((await read(`${fields}\r\n\r\n`).reader.next()).isLast, isLast, fields);
  }
});

Deno.test("ResponseReader.next() has headers in lower case, the last of a kind", async () => {
  const fields = "Server: Docker/20.10.24 (linux)\r\nX-A: 1\r\nX-a:  2 \r\nEmpty:\r\n";
  const { headers } = await read(`${head}${fields}Content-Length: 0\r\n\r\n`).reader.next();
  assert.deepEqual([...headers], [
    ["server", "Docker/20.10.24 (linux)"],
    ["x-a", "2"],
    ["empty", ""],
    ["content-length", "0"],
  ]);
});

Deno.test("ResponseReader.next() treats damaged bytes alike in any pieces", async () => {
  const random = new SeededRandom(7);
  for (const [, stream] of wellFormed) {
    for (let round = 0; round < 100; round++) {
      const bytes = encode(stream);
      bytes[random.below(bytes.length)] = random.below(256);
      const outcomes = await Promise.all([whole, byteByByte].map((cut) => outcome(bytes, cut)));
      assert.deepEqual(outcomes[0], outcomes[1], new TextDecoder("latin1").decode(bytes));
    }
  }
});

/** All answers of a stream up to the first error, and its message. */
async function outcome(stream: Uint8Array, cut: Cut): Promise<unknown[]> {
  const { reader } = read(stream, cut);
  const got: unknown[] = [];
  try {
    for (;;) got.push(summary(await reader.next()));
  } catch (error) {
    return [...got, (error as Error).message];
  }
}

const malformed: [name: string, stream: string, message: RegExp][] = [
  ["garbage", "\x80\xa5\xca no line's end", /not-http/],
  ["another protocol", "SSH-2.0-OpenSSH\r\n", /not-http/],
  ["HTTP/2", "HTTP/2 200\r\n\r\n", /not-http/],
  ["a status of two digits", "HTTP/1.1 20 OK\r\n\r\n", /not-http/],
  ["a status of four digits", "HTTP/1.1 2000 OK\r\n\r\n", /not-http/],
  ["a status that is none", "HTTP/1.1 600 No\r\n\r\n", /not-http/],
  ["an empty line first", `\r\n${head}\r\n`, /not-http/],
  ["line ends without CR", `${head.trim()}\nServer: x\n\n[]`, cutShort],
  ["a header without a colon", `${head}Server x\r\n\r\n`, /header without a name/],
  ["a header without a name", `${head}: x\r\n\r\n`, /header without a name/],
  ["a length that is no number", `${head}Content-Length: 5x\r\n\r\n`, /content length 5x/],
  ["a negative length", `${head}Content-Length: -1\r\n\r\n`, /content length -1/],
  ["an empty length", `${head}Content-Length:\r\n\r\n`, /content length/],
  [
    "a length beyond numbers",
    `${head}Content-Length: 1${"0".repeat(20)}\r\n\r\n`,
    /content length/,
  ],
  ["compression", `${head}Transfer-Encoding: gzip, chunked\r\n\r\n`, /transfer encoding gzip/],
  ["a chunk without a size", `${chunkedHead}\r\n[]\r\n0\r\n\r\n`, /chunk without a size/],
  ["a chunk size that is none", `${chunkedHead}g\r\n[]\r\n0\r\n\r\n`, /chunk without a size/],
  ["a negative chunk size", `${chunkedHead}-2\r\n[]\r\n0\r\n\r\n`, /chunk without a size/],
  ["a chunk size of nine digits", `${chunkedHead}000000002\r\n[]\r\n`, /chunk without a size/],
  ["a chunk longer than its size", `${chunkedHead}1\r\n[]\r\n0\r\n\r\n`, /chunk too long/],
  ["a chunk shorter than its size", `${chunkedHead}4\r\n[]\r\n0\r\n\r\n`, /chunk too long/],
  ["trailers", `${chunkedHead}0\r\na: b\r\n\r\n`, /chunk too long/],
];

for (const [name, stream, message] of malformed) {
  Deno.test(`ResponseReader.next() rejects ${name}, in pieces`, async () => {
    for (const cut of cuts()) {
      await assert.rejects(read(stream, cut).reader.next(), message);
    }
  });
}

const headStart = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: ";
const x = (count: number) => "x".repeat(count);
/** What has a limit, and a stream that has so many bytes of it. */
const limits: [name: string, most: number, stream: (length: number) => string][] = [
  ["head", 32_768, (n) => `${headStart}${x(n - headStart.length)}\r\n\r\n`],
  ["chunk's line", 1024, (n) => `${chunkedHead}0;${x(n - 2)}\r\n\r\n`],
  ["body of known length", bodyLimit, (n) => `${head}Content-Length: ${n}\r\n\r\n${x(n)}`],
  ["chunk", bodyLimit, (n) => `${chunkedHead}${n.toString(16)}\r\n${x(n)}\r\n0\r\n\r\n`],
  ["number of chunks", bodyLimit, (n) => `${chunkedHead}${"1\r\nx\r\n".repeat(n)}0\r\n\r\n`],
  ["body up to the close", bodyLimit, (n) => `${head}\r\n${x(n)}`],
];

for (const [name, most, stream] of limits) {
  Deno.test(`ResponseReader.next() reads a ${name} up to its limit`, async () => {
    const message = most === bodyLimit ? /too-large/ : new RegExp(`more than ${most} bytes`);
    for (const cut of [whole, byteByByte]) {
      assert.equal((await read(stream(most), cut).reader.next()).status, 200);
      await assert.rejects(read(stream(most + 1), cut).reader.next(), message);
    }
  });
}

Deno.test("ResponseReader.next() reads a body larger than its buffer at once", async () => {
  for (const start of [`${head}Content-Length: 100000\r\n\r\n`, `${chunkedHead}186a0\r\n`]) {
    let reads = 0;
    const cut = () => reads++ === 0 ? start.length : Infinity;
    const { reader } = read(`${start}${x(bodyLimit)}\r\n0\r\n\r\n`, cut);
    assert.deepEqual(summary(await reader.next()), [200, x(bodyLimit)]);
    assert.equal(reads, start.startsWith(chunkedHead) ? 3 : 2);
    await assert.rejects(read(`${start}${x(bodyLimit - 1)}`, cut).reader.next(), cutShort);
  }
});

Deno.test("ResponseReader.next() rejects a size that is announced too large", async () => {
  for (const start of [`${head}Content-Length: 100001\r\n\r\n`, `${chunkedHead}186a1\r\n`]) {
    const { reader, source } = read(`${start}${"x".repeat(bodyLimit + 1)}`, byteByByte);
    await assert.rejects(reader.next(), /too-large/);
    assert.equal(source.consumed, start.length);
  }
});

Deno.test("ResponseReader.next() rejects what never ends", async () => {
  const endless = [
    ["", "x"],
    ["", "HTTP/1.1 100 Continue\r\n\r\n"],
    [head, "X: y\r\n"],
    [chunkedHead, "1"],
    [chunkedHead, "1\r\nx\r\n"],
    [`${chunkedHead}0\r\n`, "X: y\r\n"],
    [`${head}\r\n`, "x"],
  ] as const;
  for (const [start, again] of endless) {
    let sent = false;
    const bytes = encode(again.repeat(1000));
    const reader = new ResponseReader((into) => {
      const next = (sent ? bytes : encode(start + again)).subarray(0, into.length);
      sent = true;
      into.set(next);
      return Promise.resolve(next.length);
    }, bodyLimit);
    await assert.rejects(reader.next(), Error, again);
  }
});
