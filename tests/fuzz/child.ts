/**
 * Runs cases of one target in a process of its own: a crash of the runtime or of SQLite ends it.
 * Arguments: the target's module, a file for the number of the running case, a folder, and the
 * options as JSON. Prints lines of JSON.
 */

import {
  type CaseOptions,
  type Failure,
  runCases,
  type Tally,
  type TargetModule,
} from "./target.ts";

/** The options that are handed over. */
export type ChildOptions = Omit<CaseOptions, "onCase" | "onFailure">;
/** A line that a child prints. */
export type ChildLine = { readonly failure: Failure } | { readonly tally: Tally };

function print(line: ChildLine): void {
  const bytes = new TextEncoder().encode(`${JSON.stringify(line)}\n`);
  for (let done = 0; done < bytes.length;) done += Deno.stdout.writeSync(bytes.subarray(done));
}

/** Writes the number of the running case where the parent finds it after a crash. */
function caseWriter(path: string): (caseNumber: number) => void {
  const file = Deno.openSync(path, { write: true, create: true });
  return (caseNumber) => {
    file.seekSync(0, Deno.SeekMode.Start);
    file.writeSync(new TextEncoder().encode(String(caseNumber).padStart(12)));
  };
}

if (import.meta.main) {
  const [module = "", caseFile = "", folder = "", json = ""] = Deno.args;
  const { open }: TargetModule = await import(module);
  const target = await open(folder);
  const tally = await runCases(target, {
    ...JSON.parse(json) as ChildOptions,
    onCase: caseWriter(caseFile),
    onFailure: (failure) => print({ failure }),
  });
  await target[Symbol.asyncDispose]();
  print({ tally });
  Deno.exit(0);
}
