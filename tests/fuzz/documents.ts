import type { SeededRandom } from "../support/random.ts";
import {
  encode,
  hostileText,
  mutateBytes,
  mutateTree,
  type TextKind,
  type Tree,
  treeOf,
  write,
} from "./hostile.ts";
import { randomDocument } from "./random_document.ts";

const samples = ["topology-one-lan.json", "topology-three-lans.json"].map((name) =>
  Deno.readTextFileSync(new URL(`../data/${name}`, import.meta.url))
);
const casesForEachLarge = 2_000;
/** What the last number of an address cannot be, in one subnet or another. */
const ends = [0, 1, 127, 128, 129, 255];
const services = ["ssh", "http", "smb", "mysql", "ftp"];

/** A topology document as the bytes that came, valid or not. */
export function documentBytes(
  random: SeededRandom,
  { largeToo = true }: { largeToo?: boolean } = {},
): Uint8Array<ArrayBuffer> {
  if (random.isOneIn(casesForEachLarge) && largeToo) return encode(largeDocument(random));
  if (random.isOneIn(20)) return encode(randomDocument(random));
  const tree = random.isOneIn(3) ? treeOf(JSON.parse(random.pick(samples))) : randomTree(random);
  mutateTree(tree, random, random.pick([0, 0, 0, 1, 1, 2, 4]));
  const bytes = encode(write(tree));
  return random.isOneIn(8) ? mutateBytes(bytes, random, { faults: random.few(8) }) : bytes;
}

/** A topology that is valid but for a hostile text now and then. */
function randomTree(random: SeededRandom): Tree {
  // A document with several faults may be refused for any of them.
  const rarely = random.pick([10, 10_000, 10_000, 10_000]);
  const faultAt = random.isOneIn(2) ? random.below(25) : -1;
  let texts = 0;
  const text = (kind: TextKind, good: string) =>
    texts++ === faultAt || random.isOneIn(rarely) ? hostileText(random, kind) : good;
  const second = 18 + random.below(2);
  const subnet = (index: number) =>
    random.isOneIn(4)
      ? `198.${second}.${4 * index}.0/22`
      : `198.${second}.${index}.${random.isOneIn(9) ? "128/25" : "0/24"}`;
  const lans = random.times(random.isOneIn(60) ? random.below(200) : random.below(5), (index) => ({
    id: `lan-${index}`,
    name: text("name", random.pick(["L", "lan.", "x_Y-"]) + index),
    subnet: text("subnet", subnet(index)),
    is_dmz: index === 0,
    x: random.next(),
  }));
  const deckies = random.times(lans.length && random.few(random.isOneIn(60) ? 60 : 6), (index) => {
    const first = random.below(lans.length);
    // The first one leads everywhere.
    const on = lans.filter((_, at) => index === 0 || at === first || random.isOneIn(3));
    const host = random.isOneIn(9) ? random.pick([...ends, random.below(256)]) : 130 + index;
    const own = services.filter(() => random.isOneIn(3)).map((it) => text("name", it));
    const image = () => text("image", random.pick(["a/b:1", "reg.example:5000/x"]));
    const value = () =>
      random.any<unknown>(
        () => text("any", "v"),
        () => random.below(99),
        () => random.isOneIn(2),
        () => null,
        () => [1.5, { a: "b" }],
      );
    return {
      uuid: `u${index}`,
      name: text("name", `d${index}`),
      services: own,
      decky_config: {
        ips_by_lan: Object.fromEntries(on.map(({ name, subnet }) => [
          text("name", name),
          text("address", subnet.replace(/\.\d+\/\d+$/, `.${host}`)),
        ])),
        // Two gateways with one service are refused.
        forwards_l3: random.isOneIn(index === 0 ? 2 : 9),
        service_config: Object.fromEntries(
          own.filter(() => random.isOneIn(4)).map((service) => [service, {
            image: image(),
            [random.pick(["password", "user", "custom_body", "extra_headers"])]: value(),
          }]),
        ),
      },
    };
  });
  const id = text("id", "7c9e6679-7425-40de-944b-e07fc1f90ae7");
  return treeOf({ topology: { id, name: text("any", "n"), version: 1 }, lans, deckies, edges: [] });
}

/** A quarter of what the API takes: what takes four times as long as that is still bearable. */
const maximumCharacters = 2 ** 20;

/** What fills a large document: what is repeated, and the text before and after it. */
const fillings = [
  ...['\\"', "\\\\", "\\u0000", "\\ud800", "a", "é", '\\"\\\\'].map((unit) =>
    [unit, '"', '"'] as const
  ),
  ...[["1", "[", "]"], ["0,", "[", "0]"], ["{},", "[", "0]"], ["1", "[1.", "]"], [
    " ",
    "[",
    "]",
  ]] as const,
  ...[["[", "", ""], ['{"":', "", ""], ['"', "", ""], ['\\"', '"', ""], ["\\", '"', ""]] as const,
] as const;

/** A document that is made to take as much time or memory as it can. */
function largeDocument(random: SeededRandom): string {
  const lan = { name: "a", subnet: "198.18.0.0/24", is_dmz: true };
  const base = { topology: { id: "7c9e6679" }, lans: [lan], deckies: [] as unknown[] };
  const grown = (change: object) => JSON.stringify({ ...base, ...change });
  const count = random.pick([1_000, 10_000, 40_000]);
  const fewer = Math.min(count, 20_000);
  const manyLans = () => Object.fromEntries(random.times(2_000, (n) => [`l${n}`, "198.18.0.2"]));
  const members = (count: number, key: (at: number) => string | number) =>
    `{${random.times(count, (at) => `"${key(at)}":0`).join(",")}}`;
  const filled = () => {
    const [unit, start, end] = random.pick(fillings);
    return start + unit.repeat(Math.floor(maximumCharacters / unit.length)) + end;
  };
  return random.any(
    () => grown({ lans: random.times(fewer, (at) => ({ ...lan, name: `a${at}` })) }),
    () => grown({ deckies: random.times(count, (at) => decky(`d${at}`, { a: "198.18.0.2" })) }),
    () => grown({ deckies: random.times(fewer, () => decky(hostileText(random))) }),
    () => grown({ deckies: [decky("d", {}, random.times(count, (at) => `s${at}`))] }),
    () => grown({ deckies: [decky("d", {}, random.times(count, () => "s"))] }),
    () => grown({ deckies: random.times(1_000, () => decky("d".repeat(4_000), {}, ["a", "b"])) }),
    () => grown({ deckies: random.times(30, (at) => decky(`d${at}`, manyLans())) }),
    () => members(random.pick([9_990, 50_000]), (at) => at * random.pick([1, 65_536])),
    () => members(50_000, () => "ab".repeat(random.below(4))),
    ...Array(8).fill(filled),
  );
}

function decky(name: string, ips_by_lan: object = {}, services: readonly string[] = []): object {
  return { name, services, decky_config: { ips_by_lan } };
}
