import { quote } from "../doctor/mod.ts";
import type { KeyName } from "./keys.ts";
import type { Sources } from "./sources.ts";

/** A key, and the value that it shall have. */
export type Setting = readonly [key: KeyName, value: string];

/** Where values are set now. */
export interface Place {
  /** The ini file. */
  readonly path: string;
  readonly hasFile: boolean;
  readonly find: Sources["find"];
  /** Adds to a command that changes the file what makes a service read it. */
  readonly reach: (command: string) => string;
}

/** The command that gives keys other values, each where it is set now, or else in the ini file. */
export function setCommand(settings: readonly Setting[], { path, hasFile, find, reach }: Place) {
  const flags: string[] = [];
  const variables: string[] = [];
  const lines: string[] = [];
  const additions: string[] = [];
  for (const [key, value] of settings) {
    const origin = find(key)?.origin;
    const text = `${key} = ${value}`;
    if (origin?.kind === "flag") flags.push(quote(`--${key}=${value}`));
    else if (origin?.kind === "variable") variables.push(`${origin.variable}=${quote(value)}`);
    else if (origin) lines.push(`sed -i '${origin.line}s|.*|${text}|' ${quote(origin.path)}`);
    else additions.push(text);
  }
  // What is added moves the lines below it, so it comes last.
  const changes = [...lines, ...addCommands(path, additions, hasFile)].join(" && ");
  return [
    ...(variables.length > 0 ? [`export ${variables.join(" ")}`] : []),
    ...(changes === "" ? [] : [reach(changes)]),
    ...(flags.length > 0 ? [`start it with ${flags.join(" ")}`] : []),
  ].join(" && ");
}

function addCommands(path: string, additions: readonly string[], hasFile: boolean): string[] {
  if (additions.length === 0) return [];
  if (hasFile) return additions.map((text) => `sed -i '/^\\[agent\\]/a ${text}' ${quote(path)}`);
  const text = ["[agent]", ...additions, ""].join("\\n");
  return [`${inFolder(path)}printf '${text}' > ${quote(path)}`];
}

/** What makes the folder of a file; for the file to be written right behind it. */
export function inFolder(path: string): string {
  const folder = /^(.+)\/[^/]*$/.exec(path)?.[1];
  return folder === undefined ? "" : `mkdir -p ${quote(folder)} && `;
}
