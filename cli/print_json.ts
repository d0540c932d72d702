import type { Terminal } from "./terminal.ts";

/** Prints a value as JSON for people. */
export function printJson({ stdout }: Pick<Terminal, "stdout">, value: unknown): void {
  stdout(`${escapeControls(JSON.stringify(value, null, 2))}\n`);
}

/** JSON for a terminal: `JSON.stringify` leaves some characters as they are that a terminal obeys. */
export function escapeControls(json: string): string {
  return json.replace(
    /[\x7f-\x9f\u2028-\u202e\u2066-\u2069]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
