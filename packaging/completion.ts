import { bashCompletion } from "./bash.ts";
import { wordsOf } from "./completion_words.ts";
import { fishCompletion } from "./fish.ts";
import type { Tables } from "./tables.ts";
import { zshCompletion } from "./zsh.ts";

const writers = { bash: bashCompletion, zsh: zshCompletion, fish: fishCompletion } as const;

/** Completions of the command line for a shell. */
export function completion(shell: keyof typeof writers, tables: Tables): string {
  return writers[shell](wordsOf(tables));
}
