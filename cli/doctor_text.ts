import type { Finding } from "../doctor/mod.ts";
import { printable } from "../host/mod.ts";
import { type ExitCode, statusWords } from "./exit.ts";

/** The width of the names of checks and of the words for their states. */
const nameWidth = 18;
const stateWidth = 9;

const colours = { ok: 32, skipped: 90, warning: 33, failed: 31 } as const;

/** A finding for people: a line for each thing that was seen, and the mend beneath. */
export function findingText({ check, result }: Finding, isColoured: boolean): string {
  const { state, saw } = result;
  const padded = state.padEnd(stateWidth);
  const word = isColoured ? `\x1b[${colours[state]}m${padded}\x1b[0m` : padded;
  const head = check.name.padEnd(nameWidth);
  const indent = " ".repeat(nameWidth + stateWidth);
  const [first = "", ...others] = saw.map(printable);
  const lines = [`${head}${word}${first}`, ...others.map((line) => indent + line)];
  if ("mend" in result) lines.push(`${indent}→ ${printable(result.mend)}`);
  return lines.map((line) => `${line.trimEnd()}\n`).join("");
}

/** All findings as an object for `--json`. */
export function doctorJson(findings: readonly Finding[], code: ExitCode) {
  return {
    status: statusWords[code],
    exit_code: code,
    checks: findings.map(({ check, result }) => ({
      name: check.name,
      state: result.state,
      saw: result.saw.map(printable).join("; "),
      ...("mend" in result && { mend: printable(result.mend) }),
    })),
  };
}
