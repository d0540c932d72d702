import type { Chance } from "./chance.ts";

/** A part of the program that is given hostile input, case after case. */
export interface Target extends AsyncDisposable {
  /**
   * Runs one case, which depends on nothing but `chance`, and answers in a word what became of it.
   * Throws when something happened that must never happen.
   */
  run(chance: Chance): Promise<string> | string;
}

/** What the module of a target exports: it is opened once, in a process and a folder of its own. */
export interface TargetModule {
  open(folder: string): Promise<Target>;
}
