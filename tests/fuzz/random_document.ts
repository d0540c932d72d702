import type { SeededRandom } from "../support/random.ts";

/** Returns the words of a text, which may have several lines. */
export function words(text: string): string[] {
  return text.trim().split(/\s+/);
}

/** Returns a document as JSON text without line feeds, which goes to the edges of what it can hold. */
export function randomDocument(random: SeededRandom): string {
  const digits = (count: number) => random.times(count, () => random.below(10)).join("");
  const space = () => random.next() < 0.9 ? "" : random.pick([" ", "\t", "\r", "  "]);

  const integer = () => {
    const length = random.pick([1, 1, 2, 9, 15, 16, 17, 19, 20, 40, 400]);
    return length === 1 ? digits(1) : `${1 + random.below(9)}${digits(length - 1)}`;
  };
  const exponent = () =>
    `${random.pick(["e", "E"])}${random.pick(["", "+", "-"])}${random.next() < 0.3 ? "0" : ""}${
      random.pick([random.below(10), random.below(30), 280 + random.below(60), 1000])
    }`;
  const randomDouble = () => {
    const [double] = new Float64Array(
      new Uint32Array([random.below(2 ** 32), random.below(2 ** 32)]).buffer,
    );
    return Number.isFinite(double)
      ? random.pick([String, (it: number) => it.toPrecision(17)])(double!)
      : "1.5";
  };
  const number = () =>
    random.pick([
      integer,
      () => `${integer()}.${digits(1 + random.below(20))}`,
      () => integer() + exponent(),
      () => `${integer()}.${digits(1 + random.below(20))}${exponent()}`,
      () => `0.${"0".repeat(random.below(9))}${digits(1 + random.below(18))}`,
      () => random.pick(edgeNumbers),
    ])();
  const signedNumber = () => {
    const text = random.next() < 0.2 ? randomDouble() : number();
    return text.startsWith("-") || random.next() < 0.7 ? text : `-${text}`;
  };

  const unit = (code: number) => {
    const hex = code.toString(16).padStart(4, "0");
    return `\\u${random.next() < 0.5 ? hex : hex.toUpperCase()}`;
  };
  const character = () =>
    random.pick([
      () => random.pick([..."abcxyzwh019_-/ "]),
      () => random.pick(['\\"', "\\\\", "\\/", "\\b", "\\f", "\\n", "\\r", "\\t"]),
      () => unit(random.below(0x20)),
      () => random.pick([..."\x7f\x80\xff\u2028\u2029\ufffe\uffff\ue000é"]),
      () => String.fromCodePoint(0x10000 + random.below(0x100000)),
      () => unit(random.below(0x10000)),
      () => unit(0xd800 + random.below(0x800)),
      () => unit(0xd800 + random.below(0x400)) + unit(0xdc00 + random.below(0x400)),
    ])();
  const string = () => `"${random.times(random.pick([0, 1, 2, 3, 8]), character).join("")}"`;
  const key = () =>
    random.pick([
      () => `"${random.pick(edgeKeys)}"`,
      () => `"${random.below(random.pick([10, 100, 2 ** 32]))}"`,
      // Keys with a common beginning, so that their order hangs on what follows.
      () => `"${random.pick(["", "k", "\\ud83d", "😀"])}${character()}"`,
      string,
    ])();

  const value = (depth: number): string => {
    const kind = random.next();
    const list = (open: string, close: string, item: () => string) => {
      const items = random.times(random.pick([0, 1, 2, 3, 4, 8]), item);
      return open + space() + items.join(`${space()},${space()}`) + space() + close;
    };
    const member = () => `${key()}${space()}:${space()}${value(depth - 1)}`;
    if (depth > 0 && kind < 0.3) return list("{", "}", member);
    if (depth > 0 && kind < 0.45) return list("[", "]", () => value(depth - 1));
    if (kind < 0.75) return signedNumber();
    if (kind < 0.92) return string();
    return random.pick(["null", "true", "false"]);
  };
  const nested = random.pick([0, 0, 0, 0, 0, 0, 0, 0, 0, 200]);
  const members = random.times(1 + random.below(6), () => `${key()}:${value(4)}`);
  return `${"[".repeat(nested)}{${members.join(",")}}${"]".repeat(nested)}`;
}

const edgeNumbers = words(`
    0 0.0 0e0 0E-5 0.000e+10 1e16 1e15 9999999999999998.0 99999999999999999.0 1e-4 1e-5 0.0001
    0.00009999 123e-7 1E+05 1.0e+00 5e-324 2e-324 2.5e-324 4.9406564584124654e-324
    2.2250738585072014e-308 2.2250738585072011e-308 1.7976931348623157e308 1e400
    1.7976931348623159e308 1e22 1e23 9007199254740993 9007199254740993.0 0.1 0.30000000000000004
`);

const edgeKeys = [
  ...words(`
    created_at status_changed_at updated_at last_seen status version last_error x y w h
    __proto__ constructor toString hasOwnProperty length 0 10 9 2 -1 01 X Status \\u0078
    \\u005f_proto__ \\ud83d\\ude00 \\ud83d \\ude00 \\ue000 \\uffff
  `),
  "",
];
