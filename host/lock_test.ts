import assert from "node:assert/strict";
import { TemporaryFolder } from "../tests/support/environment.ts";
import { makeFifo } from "../tests/support/requirements.ts";
import { describeOwner, FileLock, LockHeld, type LockOptions, type LockOwner } from "./lock.ts";

type Owner = LockOwner | null;

/** Takes the lock, or is refused while it is held. */
function acquire(path: string, options: Partial<LockOptions> = {}): Promise<FileLock> {
  return FileLock.acquire(path, { purpose: "test", ...options });
}

/** Begins to wait for a held lock; `owner` is the one that it was told. */
async function waitFor(path: string, options: Partial<LockOptions> = {}) {
  const { promise, resolve } = Promise.withResolvers<Owner>();
  const next = acquire(path, { onWait: resolve, ...options });
  // An early failure of `next` shows at once.
  return { owner: await Promise.race([promise, next.then(() => assert.fail("no wait"))]), next };
}

/** Runs a test with the path of a lock in a temporary folder. */
function lockTest(title: string, test: (path: string) => Promise<void>): void {
  Deno.test(title, async () => {
    using folder = new TemporaryFolder();
    await test(`${folder.path}/apply.lock`);
  });
}

/** The error when a process holds the lock for `purpose`. */
function heldFor(purpose: string, pid = Deno.pid): (error: Error) => boolean {
  return (error) => {
    assert.ok(error instanceof LockHeld);
    assert.equal(error.name, "LockHeld");
    assert.match(error.message, new RegExp(`^held by process ${pid} since \\S+Z for ${purpose}$`));
    assert.deepEqual([error.owner?.pid, error.owner?.purpose], [pid, purpose]);
    return true;
  };
}

/** Checks what the file says of its owner. */
function assertOwner(path: string, purpose: string): void {
  const pattern = new RegExp(`^process ${Deno.pid} since \\S+Z for ${purpose}\\n$`);
  assert.match(Deno.readTextFileSync(path), pattern);
}

lockTest("FileLock.acquire() throws LockHeld when it may not wait", async (path) => {
  const before = Date.now();
  const lock = await acquire(path, { purpose: "apply topology-1" });
  const after = Date.now();
  for (let times = 0; times < 2; times++) {
    await assert.rejects(acquire(path), heldFor("apply topology-1"));
  }
  const { owner } = await acquire(path).then(() => assert.fail("it is held"), (error) => error);
  const since = Date.parse(owner.since);
  assert.ok(since >= before && since <= after);
  lock.release();
  (await acquire(path)).release();
});

lockTest("FileLock.acquire() waits a moment for the owner's name", async (path) => {
  using file = Deno.openSync(path, { write: true, create: true });
  file.lockSync(true);
  const refused = assert.rejects(acquire(path), {
    message: "held by process 1 since now for a test",
  });
  file.writeSync(new TextEncoder().encode("process 1 since now for a test\n"));
  await refused;
  file.truncateSync();
  await assert.rejects(acquire(path), { message: "held by another process", owner: null });
});

lockTest("FileLock is held by one at a time within one process", async (path) => {
  let holders = 0;
  const turns = Array.from({ length: 5 }, async () => {
    const lock = await acquire(path, { onWait: () => {} });
    assert.equal(++holders, 1);
    // Another one could take it now.
    await new Promise((resolve) => setTimeout(resolve, 1));
    holders--;
    lock.release();
  });
  await Promise.all(turns);
});

lockTest("FileLock.acquire() reports the owner once, however long it waits", async (path) => {
  const lock = await acquire(path, { purpose: "apply topology-1" });
  const owners: Owner[] = [];
  const next = acquire(path, { onWait: (owner) => owners.push(owner) });
  // Longer than several of its tries.
  await new Promise((resolve) => setTimeout(resolve, 700));
  lock.release();
  (await next).release();
  assert.deepEqual(owners.map((it) => [it?.pid, it?.purpose]), [[Deno.pid, "apply topology-1"]]);
});

lockTest("FileLock.acquire() stops waiting when the signal is aborted", async (path) => {
  const lock = await acquire(path, { purpose: "apply topology-1" });
  const stop = new AbortController();
  const onWait = () => stop.abort(new Error("the agent is stopping"));
  const waited = acquire(path, { signal: stop.signal, onWait });
  await assert.rejects(waited, { message: "the agent is stopping" });
  await assert.rejects(acquire(path), heldFor("apply topology-1"));
  lock.release();
  (await acquire(path)).release();
});

Deno.test("FileLock creates its folder and its file for the owner alone", async () => {
  using folder = new TemporaryFolder();
  const lock = await acquire(`${folder.path}/a/b/apply.lock`);
  const modes = ["/a", "/a/b", "/a/b/apply.lock"].map((path) => {
    return Deno.statSync(folder.path + path).mode! & 0o7777;
  });
  assert.deepEqual(modes, [0o700, 0o700, 0o600]);
  lock.release();
});

lockTest("FileLock.release() removes the name that acquire() wrote", async (path) => {
  // What a killed owner left, and what is longer or shorter than it.
  Deno.writeTextFileSync(path, `process 1 since then for ${"x".repeat(500)}\nand more\n`);
  for (const purpose of ["short", "a long purpose", "short"]) {
    const lock = await acquire(path, { purpose });
    assertOwner(path, purpose);
    lock.release();
    assert.equal(Deno.readTextFileSync(path), "");
  }
});

for (const what of ["a link", "a dangling link", "a pipe", "a folder"]) {
  lockTest(`FileLock.acquire() refuses ${what} as its file`, async (path) => {
    const other = `${path}.other`;
    if (what === "a link") Deno.writeTextFileSync(other, "not ours");
    if (what === "a pipe") await makeFifo(path);
    else if (what === "a folder") Deno.mkdirSync(path);
    else Deno.symlinkSync(other, path);
    await assert.rejects(acquire(path), { message: "it is not a regular file" });
    await assert.rejects(acquire(path, { onWait: () => {} }));
    // What a link leads to is neither written nor created.
    if (what === "a link") assert.equal(Deno.readTextFileSync(other), "not ours");
    else assert.throws(() => Deno.statSync(other), Deno.errors.NotFound);
  });
}

lockTest("FileLock.acquire() throws when its folder is a file", async (path) => {
  Deno.writeTextFileSync(path, "");
  await assert.rejects(acquire(`${path}/apply.lock`), { message: "Not a directory" });
  await assert.rejects(acquire(`${path}/below/apply.lock`));
});

lockTest("FileLock.acquire() locks the new file when the old one was removed", async (path) => {
  const old = await acquire(path);
  const { next } = await waitFor(path, { purpose: "next" });
  Deno.removeSync(path);
  old.release();
  const lock = await next;
  await assert.rejects(acquire(path), heldFor("next"));
  lock.release();
});

lockTest("FileLock.acquire() refuses what has replaced the file it waited for", async (path) => {
  const held = await acquire(path);
  const { next } = await waitFor(path);
  const refused = assert.rejects(next, { message: "it is not a regular file" });
  Deno.removeSync(path);
  Deno.mkdirSync(path);
  held.release();
  await refused;
});

lockTest("FileLock.acquire() waits for an owner without a name in a removed file", async (path) => {
  const held = await acquire(path);
  Deno.truncateSync(path);
  const waiting = waitFor(path, { purpose: "next" });
  Deno.removeSync(path);
  const { owner, next } = await waiting;
  assert.equal(owner, null);
  held.release();
  const lock = await next;
  assertOwner(path, "next");
  lock.release();
  assert.equal(Deno.readTextFileSync(path), "");
});

/** Another process, which takes the lock or waits for it. */
class OtherProcess implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #lines: ReadableStreamDefaultReader<string>;
  #text = "";

  constructor(path: string) {
    const program = new URL("../tests/support/programs/lock_holder.ts", import.meta.url).href;
    const permissions = ["--no-prompt", "--allow-read", "--allow-write", "--allow-sys=uid"];
    this.#child = new Deno.Command(Deno.execPath(), {
      args: ["run", "-q", ...permissions, program, path, "apply theirs"],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    this.#lines = this.#child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** Returns the next line of its output. */
  async line(): Promise<string> {
    while (!this.#text.includes("\n")) {
      const { value, done } = await this.#lines.read();
      assert.ok(!done, "it ended");
      this.#text += value;
    }
    const [line = "", ...more] = this.#text.split("\n");
    this.#text = more.join("\n");
    return line;
  }

  /** Lets it release the lock and end. */
  async end(): Promise<void> {
    await this.#child.stdin.close();
    assert.equal((await this.#child.status).code, 0);
  }

  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#child.status;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child.stdin.close().catch(() => {});
    await this.#lines.cancel();
    await this.#child.status;
  }
}

lockTest("FileLock.acquire() waits for another process", async (path) => {
  await using other = new OtherProcess(path);
  assert.equal(await other.line(), "has it");
  await assert.rejects(acquire(path), heldFor("apply theirs", other.pid));
  const { owner, next } = await waitFor(path);
  assert.deepEqual([owner?.pid, owner?.purpose], [other.pid, "apply theirs"]);
  await other.end();
  (await next).release();
});

lockTest("FileLock makes another process wait, which learns the owner", async (path) => {
  const lock = await acquire(path, { purpose: "apply ours" });
  await using other = new OtherProcess(path);
  const pattern = new RegExp(`^waits for process ${Deno.pid} since \\S+Z for apply ours$`);
  assert.match(await other.line(), pattern);
  lock.release();
  assert.equal(await other.line(), "has it");
  await assert.rejects(acquire(path), LockHeld);
  await other.end();
  (await acquire(path)).release();
});

lockTest("FileLock is free as soon as its owner was killed", async (path) => {
  await using other = new OtherProcess(path);
  assert.equal(await other.line(), "has it");
  await assert.rejects(acquire(path), LockHeld);
  await other.kill();
  assert.match(Deno.readTextFileSync(path), /for apply theirs\n$/);
  const lock = await acquire(path);
  assertOwner(path, "test");
  lock.release();
});

Deno.test("describeOwner() names process, time and purpose", () => {
  const owner = { pid: 7, since: "2026-11-22T18:00:00.000Z", purpose: "apply A" };
  assert.equal(describeOwner(owner), "process 7 since 2026-11-22T18:00:00.000Z for apply A");
  assert.equal(describeOwner(null), "another process");
});
