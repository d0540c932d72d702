import { randomDocument } from "../random_document.ts";
import { mutateBytes } from "./byte_mutations.ts";
import type { Chance } from "./chance.ts";
import { hostileText, type TextKind } from "./hostile_texts.ts";
import { type Tree, treeOf, write } from "./json_tree.ts";
import { largeDocument } from "./large_documents.ts";
import { mutateTree } from "./tree_mutations.ts";

const samples = ["topology-one-lan.json", "topology-three-lans.json"].map((name) =>
  Deno.readTextFileSync(new URL(`../../tests/data/${name}`, import.meta.url))
);
const casesForEachLarge = 2_000;
/** What the last number of an address cannot be, in one subnet or another. */
const ends = [0, 1, 127, 128, 129, 255];
const services = ["ssh", "http", "smb", "mysql", "ftp"];

/** A topology document as the bytes that came, valid or not. */
export function documentBytes(
  chance: Chance,
  { largeToo = true }: { largeToo?: boolean } = {},
): Uint8Array<ArrayBuffer> {
  if (chance.isOneIn(casesForEachLarge) && largeToo) return encode(largeDocument(chance));
  if (chance.isOneIn(20)) return encode(randomDocument(chance.random));
  const tree = chance.isOneIn(3) ? treeOf(JSON.parse(chance.pick(samples))) : randomTree(chance);
  mutateTree(tree, chance, chance.pick([0, 0, 0, 1, 1, 2, 4]));
  const bytes = encode(write(tree));
  return chance.isOneIn(8) ? mutateBytes(bytes, chance, { faults: chance.few(8) }) : bytes;
}

/** A topology that is valid but for a hostile text now and then. */
function randomTree(chance: Chance): Tree {
  // A document with several faults may be refused for any of them.
  const rarely = chance.pick([10, 10_000, 10_000, 10_000]);
  const faultAt = chance.isOneIn(2) ? chance.below(25) : -1;
  let texts = 0;
  const text = (kind: TextKind, good: string) =>
    texts++ === faultAt || chance.isOneIn(rarely) ? hostileText(chance, kind) : good;
  const second = 18 + chance.below(2);
  const lans = chance.times(chance.isOneIn(60) ? chance.below(200) : chance.below(5), (index) => ({
    id: `lan-${index}`,
    name: text("name", chance.pick(["L", "lan.", "x_Y-"]) + index),
    subnet: text(
      "subnet",
      chance.isOneIn(4)
        ? `198.${second}.${4 * index}.0/22`
        : `198.${second}.${index}.${chance.isOneIn(9) ? "128/25" : "0/24"}`,
    ),
    is_dmz: index === 0,
    x: chance.random(),
  }));
  const deckies = chance.times(lans.length && chance.few(chance.isOneIn(60) ? 60 : 6), (index) => {
    const first = chance.below(lans.length);
    // The first one leads everywhere.
    const on = lans.filter((_, at) => index === 0 || at === first || chance.isOneIn(3));
    const host = chance.isOneIn(9) ? chance.pick([...ends, chance.below(256)]) : 130 + index;
    const own = services.filter(() => chance.isOneIn(3)).map((it) => text("name", it));
    return {
      uuid: `u${index}`,
      name: text("name", `d${index}`),
      services: own,
      decky_config: {
        ips_by_lan: Object.fromEntries(on.map(({ name, subnet }) => [
          text("name", name),
          text("address", subnet.replace(/\.\d+\/\d+$/, `.${host}`)),
        ])),
        forwards_l3: chance.isOneIn(2),
        service_config: Object.fromEntries(
          own.filter(() => chance.isOneIn(4)).map((service) => [service, {
            image: text("image", chance.pick(["a/b:1", "reg.example:5000/x", "x@y"].slice(0, 2))),
          }]),
        ),
      },
    };
  });
  const id = text("id", "7c9e6679-7425-40de-944b-e07fc1f90ae7");
  return treeOf({ topology: { id, name: text("any", "n"), version: 1 }, lans, deckies, edges: [] });
}

function encode(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}
