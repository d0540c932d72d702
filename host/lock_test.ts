import assert from "node:assert/strict";
import { TemporaryFolder } from "../tests/temporary_folder.ts";
import { FileLock, LockHeld, type LockOptions } from "./lock.ts";

/** Takes the lock, or is refused when somebody else has it. */
function acquire(path: string, options: Partial<LockOptions> = {}): Promise<FileLock> {
  const { signal } = new AbortController();
  return FileLock.acquire(path, { purpose: "test", signal, ...options });
}

/** Runs a test in a folder of its own, with the path of a lock in it. */
async function withPath(test: (path: string) => Promise<void>): Promise<void> {
  using folder = new TemporaryFolder();
  await test(`${folder.path}/apply.lock`);
}

/** What a holder says of itself, taken apart. */
function partsOf(holder: string): { pid: number; since: number; purpose: string } {
  const [, pid, since, purpose] = /^process (\d+) since (\S+Z) for (.*)$/.exec(holder) ?? [];
  assert.ok(purpose !== undefined, holder);
  return { pid: Number(pid), since: Date.parse(since!), purpose };
}

Deno.test("FileLock.acquire() tells whoever has to wait the holder's process, time and purpose", () =>
  withPath(async (path) => {
    const before = Date.now();
    const lock = await acquire(path, { purpose: "apply topology-1" });
    const after = Date.now();
    const { promise: told, resolve } = Promise.withResolvers<string>();
    const next = acquire(path, { onWait: resolve });
    const { pid, since, purpose } = partsOf(await told);
    assert.deepEqual([pid, purpose], [Deno.pid, "apply topology-1"]);
    assert.ok(since >= before && since <= after);
    lock.release();
    (await next).release();
  }));

Deno.test("FileLock.acquire() refuses a lock that is held when nobody wants to wait", () =>
  withPath(async (path) => {
    const lock = await acquire(path, { purpose: "apply topology-1" });
    for (let times = 0; times < 2; times++) {
      await assert.rejects(acquire(path), (error) => {
        assert.ok(error instanceof LockHeld);
        assert.equal(error.name, "LockHeld");
        const holder = error.message.replace(/^held by /, "");
        assert.equal(partsOf(holder).purpose, "apply topology-1");
        return true;
      });
    }
    lock.release();
    (await acquire(path)).release();
  }));

Deno.test("FileLock.acquire() says so when the holder has not said who it is", () =>
  withPath(async (path) => {
    using file = Deno.openSync(path, { write: true, create: true });
    file.lockSync(true);
    await assert.rejects(acquire(path), { message: "held by another process" });
  }));

Deno.test("FileLock is held by one at a time within one process", () =>
  withPath(async (path) => {
    let holders = 0;
    const turns = Array.from({ length: 5 }, async () => {
      const lock = await acquire(path, { onWait: () => {} });
      assert.equal(++holders, 1);
      // Others get their chance to go wrong.
      await new Promise((resolve) => setTimeout(resolve, 1));
      holders--;
      lock.release();
    });
    await Promise.all(turns);
  }));

Deno.test("FileLock.acquire() tells of the holder once, however long it waits", () =>
  withPath(async (path) => {
    const lock = await acquire(path);
    let told = 0;
    const next = acquire(path, { onWait: () => told++ });
    // Longer than several of its tries.
    await new Promise((resolve) => setTimeout(resolve, 700));
    lock.release();
    (await next).release();
    assert.equal(told, 1);
  }));

Deno.test("FileLock.acquire() stops waiting when the signal is aborted, and does not take the lock", () =>
  withPath(async (path) => {
    const lock = await acquire(path, { purpose: "apply topology-1" });
    const stop = new AbortController();
    const onWait = () => stop.abort(new Error("the agent is stopping"));
    const waited = acquire(path, { signal: stop.signal, onWait });
    await assert.rejects(waited, { message: "the agent is stopping" });
    await assert.rejects(acquire(path), /held by .* for apply topology-1$/);
    lock.release();
    (await acquire(path)).release();
  }));

Deno.test("FileLock creates its folder and its file for the owner alone", async () => {
  using folder = new TemporaryFolder();
  const lock = await acquire(`${folder.path}/a/b/apply.lock`);
  const modes = ["/a", "/a/b", "/a/b/apply.lock"].map((path) => {
    return Deno.statSync(folder.path + path).mode! & 0o7777;
  });
  assert.deepEqual(modes, [0o700, 0o700, 0o600]);
  lock.release();
});

Deno.test("FileLock.release() leaves the file, with nobody in it", () =>
  withPath(async (path) => {
    for (const purpose of ["a long purpose", "short"]) {
      const lock = await acquire(path, { purpose });
      assert.equal(partsOf(Deno.readTextFileSync(path).trimEnd()).purpose, purpose);
      lock.release();
      assert.equal(Deno.readTextFileSync(path), "");
    }
  }));

Deno.test("FileLock.acquire() takes over what a dead holder left in the file", () =>
  withPath(async (path) => {
    Deno.writeTextFileSync(path, `process 1 since then for ${"x".repeat(500)}\nand more\n`);
    const lock = await acquire(path);
    const [line, end, ...more] = Deno.readTextFileSync(path).split("\n");
    assert.deepEqual([partsOf(line!).pid, end, more], [Deno.pid, "", []]);
    lock.release();
  }));

Deno.test("FileLock.acquire() throws what keeps it from its file", () =>
  withPath(async (path) => {
    Deno.writeTextFileSync(path, "");
    await assert.rejects(acquire(`${path}/below/apply.lock`));
    Deno.mkdirSync(`${path}.d`);
    await assert.rejects(acquire(`${path}.d`), { message: "it is not a regular file" });
  }));

for (const what of ["a link", "a dangling link", "a pipe"]) {
  Deno.test(`FileLock.acquire() refuses ${what} in its file's place, and touches nothing by it`, () =>
    withPath(async (path) => {
      const other = `${path}.other`;
      if (what === "a link") Deno.writeTextFileSync(other, "not ours");
      if (what === "a pipe") {
        await new Deno.Command("mkfifo", { args: [path] }).output();
      } else Deno.symlinkSync(other, path);
      await assert.rejects(acquire(path), { message: "it is not a regular file" });
      await assert.rejects(acquire(path, { onWait: () => {} }));
      if (what === "a link") assert.equal(Deno.readTextFileSync(other), "not ours");
      else assert.throws(() => Deno.statSync(other), Deno.errors.NotFound);
    }));
}

Deno.test("FileLock.acquire() takes the lock that is there now when the one it waited for was removed", () =>
  withPath(async (path) => {
    const old = await acquire(path);
    const { promise: waits, resolve } = Promise.withResolvers<string>();
    const next = acquire(path, { purpose: "next", onWait: resolve });
    await waits;
    Deno.removeSync(path);
    old.release();
    const lock = await next;
    await assert.rejects(acquire(path), /^LockHeld: held by .* for next$/);
    lock.release();
  }));
