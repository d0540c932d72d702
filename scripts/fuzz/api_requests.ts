import { parseJson, versionHash } from "../../topology/mod.ts";
import { joined, mutateBytes } from "./byte_mutations.ts";
import type { Chance } from "./chance.ts";
import { documentBytes } from "./documents.ts";
import { hostileText } from "./hostile_texts.ts";
import { treeOf, write } from "./json_tree.ts";
import { mutateTree } from "./tree_mutations.ts";

const paths = ["/health", "/topology/state", "/topology/apply", "/topology/teardown", "/"];
const methods = [..."GET POST PUT DELETE OPTIONS PATCH TRACE FOO".split(" ")];
const tokens = [
  ..."GET / HTTP/1.1\r\n\r\n|\r\n|\n|\r|\0|:|HTTP/1.0|HTTP/2.0|HTTP/0.9|PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    .split("|"),
  ..."Content-Length: 5\r\n|Content-Length: -1\r\n|Content-Length: 9999999999\r\n|Expect: x\r\n"
    .split(
      "|",
    ),
  ..."Transfer-Encoding: chunked\r\n|Transfer-Encoding: gzip\r\n|Transfer-Encoding: chunked, x\r\n"
    .split("|"),
  ..."0\r\n\r\n|ffffffffffffffff\r\n|-5\r\n|5;a=b\r\nhello\r\n|Connection: close\r\n|Upgrade: h2c\r\n"
    .split("|"),
  ..."Expect: 100-continue\r\n|Host: a\r\nHost: b\r\n| folded\r\n|CONNECT a:1 HTTP/1.1\r\n\r\n"
    .split("|"),
];

/** The body of a call; what it is about may be a document, right or not. */
async function bodyOf(path: string, chance: Chance): Promise<Uint8Array<ArrayBuffer>> {
  if (chance.isOneIn(10)) return encode(JSON.stringify(hostileText(chance)));
  if (path === "/topology/apply") {
    // To make a large one and its hash takes longer than to refuse it.
    const document = documentBytes(chance, { largeToo: false });
    const hash = chance.isOneIn(6) ? JSON.stringify(hostileText(chance)) : await hashOf(document);
    const parts = [`"version_hash":${hash}`, '"hydrated":'].map(encode);
    const body = joined([encode("{"), parts[0]!, encode(","), parts[1]!, document, encode("}")]);
    return chance.isOneIn(8) ? mutateBytes(body, chance, { faults: chance.few(4) }) : body;
  }
  const tree = treeOf({ topology_id: hostileText(chance, "id") });
  if (chance.isOneIn(2)) mutateTree(tree, chance, 1);
  return encode(write(tree));
}

async function hashOf(document: Uint8Array): Promise<string> {
  try {
    return JSON.stringify(await versionHash(parseJson(new TextDecoder().decode(document))));
  } catch {
    return '""';
  }
}

/** A call as HTTP has it, whatever it says. */
export async function wellFormed(chance: Chance): Promise<Uint8Array<ArrayBuffer>> {
  const path = chance.isOneIn(20)
    ? `/${encodeURIComponent(hostileText(chance).toWellFormed())}`.slice(0, 8_000)
    : chance.pick(paths);
  const isCall = path === "/topology/apply" || path === "/topology/teardown";
  const method = chance.isOneIn(20) ? chance.pick(methods) : isCall ? "POST" : "GET";
  const head = `${method} ${path}${chance.isOneIn(20) ? "?a=b" : ""} HTTP/1.1\r\nHost: x\r\n`;
  if (method === "GET") return encode(`${head}\r\n`);
  const body = await bodyOf(path, chance);
  if (!chance.isOneIn(4)) {
    return joined([encode(`${head}Content-Length: ${body.length}\r\n\r\n`), body]);
  }
  const size = Math.max(1, Math.ceil(body.length / (1 + chance.few(50))));
  const chunks: Uint8Array[] = [encode(`${head}Transfer-Encoding: chunked\r\n\r\n`)];
  for (let at = 0; at < body.length; at += size) {
    const part = body.subarray(at, at + size);
    chunks.push(encode(`${part.length.toString(16)}\r\n`), part, encode("\r\n"));
  }
  return joined([...chunks, encode("0\r\n\r\n")]);
}

/** What may once have been some calls, and is not HTTP any more for the most part. */
export async function malformed(chance: Chance): Promise<Uint8Array<ArrayBuffer>> {
  const calls: Uint8Array[] = [];
  for (let count = chance.pick([1, 1, 1, 2, 5]); count > 0; count--) {
    calls.push(chance.isOneIn(6) ? encode(oddCall(chance)) : await wellFormed(chance));
  }
  return mutateBytes(joined(calls), chance, { faults: 1 + chance.few(6), tokens });
}

function oddCall(chance: Chance): string {
  const call = `${chance.pick(["GET", "POST"])} ${chance.pick(paths)} HTTP/1.1\r\n`;
  return chance.any(
    () => `${call}X: ${"y".repeat(chance.pick([100, 15_000, 17_000, 70_000]))}\r\n\r\n`,
    () => `${call}${"A: b\r\n".repeat(chance.few(5_000))}\r\n`,
    () => `GET /${"a".repeat(chance.pick([7_000, 17_000]))} HTTP/1.1\r\n\r\n`,
    () => `${call}Content-Length: ${chance.below(50)}\r\nContent-Length: 3\r\n\r\n{}`,
    () => `${call}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}`,
    () => `${call}Content-Length: 9437184\r\n\r\n{`,
    () => `${call}Expect: 100-continue\r\nContent-Length: 2\r\n\r\n{}`,
    () => `${call}${hostileText(chance)}: ${hostileText(chance)}\r\n\r\n`,
    () => hostileText(chance),
  );
}

function encode(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}
