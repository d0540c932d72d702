import type { Chance } from "./chance.ts";
import { hostileText } from "./hostile_texts.ts";

/** A quarter of what the API takes: what takes four times as long as that is still bearable. */
const maximumCharacters = 2 ** 20;

/** A document that is made to take as much time or memory as it can. */
export function largeDocument(chance: Chance): string {
  const lan = { name: "a", subnet: "198.18.0.0/24", is_dmz: true };
  const base = { topology: { id: "7c9e6679" }, lans: [lan], deckies: [] as unknown[] };
  const grown = (change: object) => JSON.stringify({ ...base, ...change });
  const count = chance.pick([1_000, 10_000, 40_000]);
  return chance.any(
    () =>
      grown({ lans: chance.times(Math.min(count, 20_000), (at) => ({ ...lan, name: `a${at}` })) }),
    () => grown({ deckies: chance.times(count, (at) => decky(`d${at}`, { a: "198.18.0.2" })) }),
    () =>
      grown({ deckies: chance.times(Math.min(count, 20_000), () => decky(hostileText(chance))) }),
    () => grown({ deckies: [decky("d", {}, chance.times(count, (at) => `s${at}`))] }),
    () => grown({ deckies: [decky("d", {}, chance.times(count, () => "s"))] }),
    () => grown({ deckies: chance.times(1_000, () => decky("d".repeat(4_000), {}, ["a", "b"])) }),
    () =>
      grown({
        deckies: chance.times(30, (at) =>
          decky(`d${at}`, Object.fromEntries(chance.times(2_000, (n) => [`l${n}`, "198.18.0.2"])))),
      }),
    () => filled(chance.pick(['\\"', "\\\\", "\\u0000", "\\ud800", "a", "é", '\\"\\\\']), '"', '"'),
    () => filled("1", "[", "]"),
    () => filled("0,", "[", "0]"),
    () => filled("{},", "[", "0]"),
    () => filled("1", "[1.", "]"),
    () => filled(" ", "[", "]"),
    () =>
      `{${
        chance.times(
          chance.pick([9_990, 50_000]),
          (at) => `"${at * chance.pick([1, 65_536])}":0`,
        ).join(",")
      }}`,
    () => `{${chance.times(50_000, () => `"${"ab".repeat(chance.below(4))}":0`).join(",")}}`,
    () => filled("[", "", ""),
    () => filled('{"":', "", ""),
    () => filled('"', "", ""),
    () => filled('\\"', '"', ""),
    () => filled("\\", '"', ""),
  );
}

function decky(name: string, ips_by_lan: object = {}, services: readonly string[] = []): object {
  return { name, services, decky_config: { ips_by_lan } };
}

function filled(unit: string, start: string, end: string): string {
  return start + unit.repeat(Math.floor(maximumCharacters / unit.length)) + end;
}
