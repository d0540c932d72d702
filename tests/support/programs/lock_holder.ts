/**
 * Plays another process: takes the lock at the path that is the first argument, for what the second
 * says, and gives it back when its input ends. It says who it waits for, and when it has the lock.
 */

import { describeOwner, FileLock } from "../../../host/lock.ts";

const [path = "", purpose = ""] = Deno.args;
const say = (line: string) => Deno.stdout.writeSync(new TextEncoder().encode(`${line}\n`));

const lock = await FileLock.acquire(path, {
  purpose,
  signal: new AbortController().signal,
  onWait: (owner) => say(`waits for ${describeOwner(owner)}`),
});
say("has it");
for await (const _ of Deno.stdin.readable) { /* until whoever started it has had enough */ }
lock.release();
