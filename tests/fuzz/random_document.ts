/** Random JSON texts that go to the edges of what a document can hold. */

/** Answers a number in [0, 1). */
export type Random = () => number;

/** A generator that gives the same numbers for the same seed. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A document as JSON text without line feeds. */
export function randomDocument(random: Random): string {
  const below = (limit: number) => Math.floor(random() * limit);
  const pick = <T>(list: readonly T[]): T => list[below(list.length)]!;
  const times = <T>(count: number, make: () => T): T[] => Array.from({ length: count }, make);
  const digits = (count: number) => times(count, () => below(10)).join("");
  const space = () => random() < 0.9 ? "" : pick([" ", "\t", "\r", "  "]);

  const integer = () => {
    const length = pick([1, 1, 2, 9, 15, 16, 17, 19, 20, 40, 400]);
    return length === 1 ? digits(1) : `${1 + below(9)}${digits(length - 1)}`;
  };
  const exponent = () =>
    `${pick(["e", "E"])}${pick(["", "+", "-"])}${random() < 0.3 ? "0" : ""}${
      pick([below(10), below(30), 280 + below(60), 1000])
    }`;
  const randomDouble = () => {
    const [double] = new Float64Array(new Uint32Array([below(2 ** 32), below(2 ** 32)]).buffer);
    return Number.isFinite(double)
      ? pick([String, (it: number) => it.toPrecision(17)])(double!)
      : "1.5";
  };
  const number = () =>
    pick([
      integer,
      () => `${integer()}.${digits(1 + below(20))}`,
      () => integer() + exponent(),
      () => `${integer()}.${digits(1 + below(20))}${exponent()}`,
      () => `0.${"0".repeat(below(9))}${digits(1 + below(18))}`,
      () => pick(edgeNumbers),
    ])();
  const signedNumber = () => {
    const text = random() < 0.2 ? randomDouble() : number();
    return text.startsWith("-") || random() < 0.7 ? text : `-${text}`;
  };

  const unit = (code: number) => {
    const hex = code.toString(16).padStart(4, "0");
    return `\\u${random() < 0.5 ? hex : hex.toUpperCase()}`;
  };
  const character = () =>
    pick([
      () => pick([..."abcxyzwh019_-/ "]),
      () => pick(['\\"', "\\\\", "\\/", "\\b", "\\f", "\\n", "\\r", "\\t"]),
      () => unit(below(0x20)),
      () => pick(["\x7f", "\x80", "\xff", "\u2028", "\u2029", "\ufffe", "\uffff", "\ue000", "é"]),
      () => String.fromCodePoint(0x10000 + below(0x100000)),
      () => unit(below(0x10000)),
      () => unit(0xd800 + below(0x800)),
      () => unit(0xd800 + below(0x400)) + unit(0xdc00 + below(0x400)),
    ])();
  const string = () => `"${times(pick([0, 1, 2, 3, 8]), character).join("")}"`;
  const key = () =>
    pick([
      () => `"${pick(edgeKeys)}"`,
      () => `"${below(pick([10, 100, 2 ** 32]))}"`,
      // Keys with a common beginning, so that their order hangs on what follows.
      () => `"${pick(["", "k", "\\ud83d", "😀"])}${character()}"`,
      string,
    ])();

  const value = (depth: number): string => {
    const kind = random();
    const count = () => pick([0, 1, 2, 3, 4, 8]);
    if (depth > 0 && kind < 0.3) {
      const members = times(count(), () => `${key()}${space()}:${space()}${value(depth - 1)}`);
      return `{${space()}${members.join(`,${space()}`)}${space()}}`;
    }
    if (depth > 0 && kind < 0.45) {
      return `[${space()}${times(count(), () => value(depth - 1)).join(`${space()},`)}${space()}]`;
    }
    if (kind < 0.75) return signedNumber();
    if (kind < 0.92) return string();
    return pick(["null", "true", "false"]);
  };
  const nested = pick([0, 0, 0, 0, 0, 0, 0, 0, 0, 200]);
  const members = times(1 + below(6), () => `${key()}:${value(4)}`);
  return `${"[".repeat(nested)}{${members.join(",")}}${"]".repeat(nested)}`;
}

const edgeNumbers = [
  ..."0 0.0 0e0 0E-5 0.000e+10 1e16 1e15 9999999999999998.0 99999999999999999.0 1e-4 1e-5".split(
    " ",
  ),
  ..."0.0001 0.00009999 123e-7 1E+05 1.0e+00 5e-324 2e-324 2.5e-324 4.9406564584124654e-324".split(
    " ",
  ),
  ..."2.2250738585072014e-308 2.2250738585072011e-308 1.7976931348623157e308 1e400".split(" "),
  ..."1.7976931348623159e308 1e22 1e23 9007199254740993 9007199254740993.0 0.1 0.30000000000000004"
    .split(" "),
];

const edgeKeys = [
  ..."created_at status_changed_at updated_at last_seen status version last_error x y w h".split(
    " ",
  ),
  ..."__proto__ constructor toString hasOwnProperty length 0 10 9 2 -1 01 X Status".split(" "),
  ..."\\u0078 \\u005f_proto__ \\ud83d\\ude00 \\ud83d \\ude00 \\ue000 \\uffff".split(" "),
  "",
];
