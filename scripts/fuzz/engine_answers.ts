import { joined, mutateBytes } from "./byte_mutations.ts";
import type { Chance } from "./chance.ts";
import { hostileText } from "./hostile_texts.ts";
import { treeOf, write } from "./json_tree.ts";
import { mutateTree } from "./tree_mutations.ts";

const tokens = [
  ..."HTTP/1.1 200 OK|HTTP/1.0|HTTP/2|\r\n|\n|\r\n\r\n|0\r\n\r\n|ffffffff\r\n|-1\r\n|Connection: close|:"
    .split("|"),
  ..."Content-Length: 5\r\n|Content-Length: 99999999999999\r\n|Transfer-Encoding: chunked\r\n|\0"
    .split("|"),
  ..."Transfer-Encoding: gzip, chunked\r\n|Content-Length: -1\r\n|Content-Length: 1, 1\r\n|1;x=y\r\n"
    .split("|"),
];
const states = [
  "created",
  "running",
  "paused",
  "restarting",
  "removing",
  "exited",
  "dead",
  "",
  "x",
];
const statuses = [
  ..."Up 5 minutes|Up 2 hours (unhealthy)|Up Less than a second|Exited (137) 3 days ago|Up|".split(
    "|",
  ),
  ..."Up 99999999999 years|Up 3 fortnights|Up 2|Up -1 hours|Up About an hour (Paused)|Up 1e9 days|(unhealthy)"
    .split(
      "|",
    ),
];

/** The answer to `GET /networks`, of `names` and others, and that to the list of containers. */
export function listTexts(names: readonly string[], chance: Chance): [string, string] {
  const rarely = chance.pick([3, 10, 1_000]);
  const text = (good: string) => chance.isOneIn(rarely) ? hostileText(chance) : good;
  const name = () => text(chance.pick(names));
  const labels = () => ({
    ...(chance.isOneIn(3) ? {} : { "decnet.topology.id": text("7c9e6679") }),
    ...(chance.isOneIn(3) ? { "decnet.topology.spec": text("0a".repeat(32)) } : {}),
    ...(chance.isOneIn(rarely) ? { [hostileText(chance)]: hostileText(chance) } : {}),
  });
  const count = chance.isOneIn(300) ? 3_000 : chance.few(30);
  const networks = chance.times(count, (index) => ({
    Id: text(`n${index}`),
    Name: name(),
    Driver: text(chance.pick(["bridge", "bridge", "macvlan", ""])),
    Internal: chance.isOneIn(2),
    IPAM: { Config: chance.pick([null, [], [{ Subnet: text("198.18.0.0/24") }], [{}, {}]]) },
    Labels: chance.isOneIn(9) ? null : labels(),
  }));
  const containers = chance.times(count, (index) => ({
    Id: text(`c${index}`),
    Names: chance.isOneIn(9) ? null : [`/${name()}`],
    State: text(chance.pick(states)),
    Status: text(chance.pick(statuses)),
    HostConfig: { NetworkMode: text(chance.pick(["default", "container:c0", ""])) },
    NetworkSettings: { Networks: { [name()]: { IPAddress: text("198.18.0.2") } } },
    Labels: labels(),
  }));
  return [textOf(networks, chance), textOf(containers, chance)];
}

function textOf(list: unknown, chance: Chance): string {
  if (chance.isOneIn(20)) {
    return JSON.stringify({ message: hostileText(chance).repeat(1 + chance.few(99)) });
  }
  const tree = treeOf(list);
  // Long lists would take long to change.
  if ((list as unknown[]).length < 100) mutateTree(tree, chance, chance.pick([0, 0, 0, 1, 2]));
  return write(tree);
}

/** A body as an answer of HTTP, in one form or another, right or not. */
export function answerBytes(text: string, chance: Chance): Uint8Array<ArrayBuffer> {
  const body = new TextEncoder().encode(text);
  const rarely = chance.pick([3, 1_000, 1_000]);
  const status = chance.isOneIn(rarely) || text.startsWith("{")
    ? chance.pick(["404 Not Found", "500 x", "204 No", "304 x", "100 Go", "199", "999 x", "20 x"])
    : "200 OK";
  const fields = chance.times(
    chance.few(chance.isOneIn(99) ? 900 : 3),
    () =>
      chance.isOneIn(rarely)
        ? hostileText(chance)
        : `${chance.pick(["Server: Docker/20.10 (linux)", "Api-Version: 1.41", "X: y"])}\r\n`,
  );
  const head = `HTTP/1.1 ${status}\r\n${fields.join("")}`;
  const bytes = chance.any(
    () => joined([encode(`${head}Content-Length: ${body.length}\r\n\r\n`), body]),
    () => joined([encode(`${head}Transfer-Encoding: chunked\r\n\r\n`), chunked(body, chance)]),
    () => joined([encode(`${head}Connection: close\r\n\r\n`), body]),
  );
  if (!chance.isOneIn(rarely)) return bytes;
  return mutateBytes(bytes, chance, { faults: 1 + chance.few(6), tokens });
}

function chunked(body: Uint8Array, chance: Chance): Uint8Array<ArrayBuffer> {
  const parts: Uint8Array[] = [];
  const size = chance.pick([1, 7, 1_000, 1_000_000]);
  const step = Math.max(size, Math.ceil(body.length / 2_000));
  for (let at = 0; at < body.length; at += step) {
    const part = body.subarray(at, at + step);
    const extension = chance.isOneIn(50) ? ";a=b" : "";
    parts.push(encode(`${part.length.toString(16)}${extension}\r\n`), part, encode("\r\n"));
  }
  return joined([...parts, encode("0\r\n\r\n")]);
}

function encode(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
