/**
 * Acts as another process: acquires the lock at the first argument, a path, for the purpose in the
 * second, and releases it when its input ends. Prints the owner that it waits for, and `has it`.
 */

import { describeOwner, FileLock } from "../../../host/lock.ts";

const [path = "", purpose = ""] = Deno.args;
const print = (line: string) => Deno.stdout.writeSync(new TextEncoder().encode(`${line}\n`));

const lock = await FileLock.acquire(path, {
  purpose,
  signal: new AbortController().signal,
  onWait: (owner) => print(`waits for ${describeOwner(owner)}`),
});
print("has it");
for await (const _ of Deno.stdin.readable) { /* until the input ends */ }
lock.release();
