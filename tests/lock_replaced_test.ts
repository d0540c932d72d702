import assert from "node:assert/strict";
import { FileLock } from "../host/mod.ts";
import { TemporaryFolder } from "./temporary_folder.ts";

const { signal } = new AbortController();

/** Runs a test with the path of a lock that is held, and with what gives it back. */
async function withHeld(test: (path: string, held: FileLock) => Promise<void>): Promise<void> {
  using folder = new TemporaryFolder();
  const path = `${folder.path}/apply.lock`;
  await test(path, await FileLock.acquire(path, { purpose: "a test", signal }));
}

Deno.test("FileLock.acquire() tells what has taken the place of the lock that it waited for", () =>
  withHeld(async (path, held) => {
    const { promise: waits, resolve } = Promise.withResolvers<string>();
    const next = FileLock.acquire(path, { purpose: "next", signal, onWait: resolve });
    const refused = assert.rejects(next, { message: "it is not a regular file" });
    await waits;
    Deno.removeSync(path);
    Deno.mkdirSync(path);
    held.release();
    await refused;
  }));

Deno.test("FileLock.acquire() waits on when the lock goes before its holder has said who it is", () =>
  withHeld(async (path, held) => {
    Deno.truncateSync(path);
    const { promise: waits, resolve } = Promise.withResolvers<string>();
    const next = FileLock.acquire(path, { purpose: "next", signal, onWait: resolve });
    Deno.removeSync(path);
    assert.equal(await Promise.race([waits, next]), "another process");
    held.release();
    const lock = await next;
    assert.match(Deno.readTextFileSync(path), /^process \d+ since \S+ for next\n$/);
    lock.release();
    assert.equal(Deno.readTextFileSync(path), "");
  }));
