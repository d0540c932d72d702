import assert from "node:assert/strict";
import {
  byteByByte,
  chunkedHead,
  type Cut,
  cuts,
  cutShort,
  encode,
  head,
  randomNumbers,
  read,
  summary,
  whole,
} from "../tests/answer_streams.ts";

const wellFormed: [name: string, stream: string, answers: [status: number, body: string][]][] = [
  ["a length", `${head}Content-Length: 5\r\n\r\n[1,2]`, [[200, "[1,2]"]]],
  ["a length of nothing", `${head}Content-Length: 0\r\n\r\n`, [[200, ""]]],
  ["header names in any case", `${head}CONTENT-length:2\r\n\r\n[]`, [[200, "[]"]]],
  ["an error without a reason phrase", "HTTP/1.1 500\r\nContent-Length: 2\r\n\r\n{}", [[
    500,
    "{}",
  ]]],
  ["HTTP/1.0", "HTTP/1.0 404 Not Found\r\nContent-Length: 2\r\n\r\n{}", [[404, "{}"]]],
  ["one chunk", `${chunkedHead}5\r\n[1,2]\r\n0\r\n\r\n`, [[200, "[1,2]"]]],
  ["no chunk", `${chunkedHead}0\r\n\r\n`, [[200, ""]]],
  ["chunks", `${chunkedHead}1\r\n[\r\n0000003\r\n1,2\r\n1\r\n]\r\n0\r\n\r\n`, [[200, "[1,2]"]]],
  ["a chunk with line ends in it", `${chunkedHead}A\r\n\r\n0\r\n\r\n0\r\n\r\n0\r\n\r\n`, [[
    200,
    "\r\n0\r\n\r\n0\r\n",
  ]]],
  ["chunk extensions", `${chunkedHead}2;a=b\r\n[]\r\n0 ;last\r\n\r\n`, [[200, "[]"]]],
  ["trailers", `${chunkedHead}2\r\n[]\r\n0\r\nDigest: x\r\nExpires: 0\r\n\r\n`, [[200, "[]"]]],
  [
    "chunks in spite of a length",
    `${head}Content-Length: 99\r\n${chunkedHead.slice(17)}0\r\n\r\n`,
    [
      [200, ""],
    ],
  ],
  ["no content", "HTTP/1.1 204 No Content\r\nServer: x\r\n\r\n", [[204, ""]]],
  [
    "answers one after another",
    `${head}Content-Length: 2\r\n\r\n[]${chunkedHead}2\r\n{}\r\n0\r\n\r\n` +
    `HTTP/1.1 304 Not Modified\r\n\r\n${head}Content-Length: 1\r\n\r\n7`,
    [[200, "[]"], [200, "{}"], [304, ""], [200, "7"]],
  ],
];

for (const [name, stream, answers] of wellFormed) {
  Deno.test(`ResponseReader.next() reads ${name}, however the bytes arrive`, async () => {
    for (const cut of cuts()) {
      const { reader } = read(stream, cut);
      for (const expected of answers) assert.deepEqual(summary(await reader.next()), expected);
      await assert.rejects(reader.next(), cutShort);
    }
  });

  Deno.test(`ResponseReader.next() refuses ${name}, cut at any byte`, async () => {
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

Deno.test("ResponseReader.next() reads a body up to the close, however the bytes arrive", async () => {
  for (const cut of cuts()) {
    const { reader } = read(`${head}Connection: close\r\n\r\n[1,2]`, cut);
    assert.deepEqual(summary(await reader.next()), [200, "[1,2]"]);
  }
});

Deno.test("ResponseReader.next() tells headers in lower case, the last of a kind", async () => {
  const fields = "Server: Docker/20.10.24 (linux)\r\nX-A: 1\r\nX-a:  2 \r\nEmpty:\r\n";
  const { headers } = await read(`${head}${fields}Content-Length: 0\r\n\r\n`).reader.next();
  assert.deepEqual([...headers], [
    ["server", "Docker/20.10.24 (linux)"],
    ["x-a", "2"],
    ["empty", ""],
    ["content-length", "0"],
  ]);
});

Deno.test("ResponseReader.next() reads 60,000 chunks of one byte", async () => {
  const { reader } = read(`${chunkedHead}${"1\r\nx\r\n".repeat(60_000)}0\r\n\r\n`);
  assert.equal(summary(await reader.next())[1], "x".repeat(60_000));
});

Deno.test("ResponseReader.next() says the same of damaged bytes however they arrive", async () => {
  const random = randomNumbers(7);
  for (const [, stream] of wellFormed) {
    for (let round = 0; round < 100; round++) {
      const bytes = encode(stream);
      bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * 256);
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
