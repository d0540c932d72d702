import { type KeyName, keyNames, variableOf } from "../../cli/keys.ts";
import { keyCases } from "../../tests/key_cases.ts";
import { mutateBytes } from "./byte_mutations.ts";
import type { Chance } from "./chance.ts";
import { hostileText, spoilt } from "./hostile_texts.ts";

const lines = [
  ..."[agent]|[agent|agent]|[]|[ Agent ]|[master]|[agent] ; x|[agent]x|# c|; c|=|:|=x|x|x=|x:y"
    .split("|"),
  ..."interval|interval = 30s|interval: 30s|INTERVAL=30s|  interval = 30s|\ufeff[agent]|\0|%(x)s"
    .split("|"),
  "\ud800 = x",
  "",
];
const switches = ["--once", "--json", "--dry-run", "--no-wait", "--version", "--help", "-h"];
const commands = ["", "--once", "--once --json", "state", "hash x.json", "teardown a", "--version"]
  .concat("apply x.json", "apply - --dry-run", `apply x --hash ${"0a".repeat(32)}`);
const words = ["state", "hash", "apply", "teardown", "-", "x.json", "doctor", "--", "-x", "--=x"];

/** The text of an ini file, right for the most part. */
export function iniText(chance: Chance): string {
  const eol = chance.pick(["\n", "\n", "\r\n", "\r"]);
  const rarely = chance.pick([2, 10, 1_000]);
  const names = chance.isOneIn(3)
    ? chance.times(chance.few(20), () => chance.pick(keyNames))
    : keyNames.filter(() => chance.isOneIn(3));
  const body = names.map((name) => {
    if (chance.isOneIn(rarely)) return chance.pick([...lines, hostileText(chance), "bogus = 1"]);
    const key = name.replaceAll("-", chance.pick(["-", "-", "_"]));
    return `${key}${chance.pick(["=", " = ", ": "])}${value(name, chance, rarely)}`;
  });
  if (chance.isOneIn(300)) body.push(longLine(chance));
  if (chance.isOneIn(1_000)) body.push(...chance.times(20_000, (index) => `k${index} = 1`));
  const text = [chance.isOneIn(rarely) ? chance.pick(lines) : "[agent]", ...body].join(eol);
  if (!chance.isOneIn(8)) return text;
  const bytes = mutateBytes(new TextEncoder().encode(text), chance, { faults: chance.few(8) });
  return new TextDecoder().decode(bytes);
}

/** A line on which a careless pattern would take very long. */
function longLine(chance: Chance): string {
  const unit = chance.pick([
    " ",
    "\t",
    "a",
    "=",
    ":",
    "[",
    "]",
    " x",
    ";",
    "#",
    "-",
    ".",
    ",",
    "\\",
  ]);
  const start = chance.pick(["", "a", "a =", "[", "interval = ", "service-image = ", "["]);
  return start + unit.repeat(100_000) + chance.pick(["", "b", "]", "=", "!"]);
}

/** Variables, most of them the program's own. */
export function environment(chance: Chance): Map<string, string> {
  const others = ["HOME", "DOCKER_HOST", "STATE_DIRECTORY", "XDG_RUNTIME_DIR", "XDG_STATE_HOME"];
  return new Map(chance.times(chance.few(5), () => {
    const name = chance.pick(keyNames);
    const isOwn = chance.isOneIn(2);
    const text = isOwn ? value(name, chance, 10) : value("state-dir", chance, 5);
    return [isOwn ? variableOf(name) : chance.pick(others), text.replaceAll("\0", "")];
  }));
}

/** The arguments of a command line, right for the most part. */
export function commandLine(chance: Chance): string[] {
  const rarely = chance.pick([2, 10, 1_000]);
  const flags = keyNames.filter(() => chance.isOneIn(8)).flatMap((name) => {
    if (chance.isOneIn(rarely)) return [`--${name}`];
    const text = value(name, chance, rarely);
    return chance.isOneIn(2) ? [`--${name}=${text}`] : [`--${name}`, text];
  });
  const odd = () =>
    chance.any(
      () => chance.pick(switches),
      () => chance.pick(words),
      () => hostileText(chance),
      () => `--${hostileText(chance, "name")}`,
    );
  const command = chance.pick(commands).split(" ").filter((word) => word !== "");
  return [...command, ...flags].flatMap((it) => chance.isOneIn(rarely) ? [it, odd()] : [it]);
}

function value(name: KeyName, chance: Chance, rarely: number): string {
  const { taken, refused } = keyCases[name];
  const [good] = chance.pick(taken);
  if (!chance.isOneIn(rarely)) return good;
  return chance.any(
    () => chance.pick(refused),
    () => chance.pick(refused),
    () => spoilt(good, chance),
    () => hostileText(chance, chance.pick(["image", "name", "address", "id"])),
    () => chance.isOneIn(99) ? longLine(chance) : "",
  );
}
