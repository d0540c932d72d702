import assert from "node:assert/strict";
import {
  bodyLimit,
  byteByByte,
  chunkedHead,
  cuts,
  cutShort,
  encode,
  head,
  read,
  whole,
} from "../tests/answer_streams.ts";
import { ResponseReader } from "./response_reader.ts";

const malformed: [name: string, stream: string, message: RegExp][] = [
  ["garbage", "\x80\xa5\xca no line's end", /not HTTP/],
  ["another protocol", "SSH-2.0-OpenSSH\r\n", /not HTTP/],
  ["HTTP/2", "HTTP/2 200\r\n\r\n", /not HTTP/],
  ["a status of two digits", "HTTP/1.1 20 OK\r\n\r\n", /not HTTP/],
  ["a status of four digits", "HTTP/1.1 2000 OK\r\n\r\n", /not HTTP/],
  ["a status that is none", "HTTP/1.1 600 No\r\n\r\n", /not HTTP/],
  ["an empty line first", `\r\n${head}\r\n`, /not HTTP/],
  ["line ends without a carriage return", `${head.trim()}\nServer: x\n\n[]`, cutShort],
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
  ["trailers without end", `${chunkedHead}0\r\n${"a: b\r\n".repeat(17)}\r\n`, /too many trailers/],
];

for (const [name, stream, message] of malformed) {
  Deno.test(`ResponseReader.next() refuses ${name}, however the bytes arrive`, async () => {
    for (const cut of cuts()) {
      await assert.rejects(read(stream, cut).reader.next(), message);
    }
  });
}

const limits: [name: string, most: number, stream: (length: number) => string, message: RegExp][] =
  [
    ["head", 32_768, (n) => {
      const rest = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: ";
      return `${rest}${"x".repeat(n - rest.length)}\r\n\r\n`;
    }, /more than 32768 bytes/],
    [
      "chunk's line",
      1024,
      (n) => `${chunkedHead}0;${"x".repeat(n - 2)}\r\n\r\n`,
      /more than 1024 bytes/,
    ],
    ["trailer", 1024, (n) => `${chunkedHead}0\r\n${"x".repeat(n)}\r\n\r\n`, /more than 1024 bytes/],
    [
      "body of known length",
      bodyLimit,
      (n) => `${head}Content-Length: ${n}\r\n\r\n${"x".repeat(n)}`,
      /larger than/,
    ],
    [
      "chunk",
      bodyLimit,
      (n) => `${chunkedHead}${n.toString(16)}\r\n${"x".repeat(n)}\r\n0\r\n\r\n`,
      /larger than/,
    ],
    [
      "number of chunks",
      bodyLimit,
      (n) => `${chunkedHead}${"1\r\nx\r\n".repeat(n)}0\r\n\r\n`,
      /larger than/,
    ],
    ["body up to the close", bodyLimit, (n) => `${head}\r\n${"x".repeat(n)}`, /larger than/],
  ];

for (const [name, most, stream, message] of limits) {
  Deno.test(`ResponseReader.next() reads a ${name} up to its limit and no further`, async () => {
    for (const cut of [whole, byteByByte]) {
      assert.equal((await read(stream(most), cut).reader.next()).status, 200);
      await assert.rejects(read(stream(most + 1), cut).reader.next(), message);
    }
  });
}

Deno.test("ResponseReader.next() refuses what is announced too large before it comes", async () => {
  for (const start of [`${head}Content-Length: 100001\r\n\r\n`, `${chunkedHead}186a1\r\n`]) {
    const { reader, source } = read(`${start}${"x".repeat(bodyLimit + 1)}`, byteByByte);
    await assert.rejects(reader.next(), /larger than 0.09\d* MiB/);
    assert.equal(source.consumed, start.length);
  }
});

Deno.test("ResponseReader.next() refuses what never ends", async () => {
  const endless = [
    ["", "x"],
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
