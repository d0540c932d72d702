import assert from "node:assert/strict";
import { TemporaryFolder } from "../tests/support/environment.ts";
import { requirement } from "../tests/support/requirements.ts";
import { describeOwner, FileLock, LockHeld, type LockOptions, type LockOwner } from "./lock.ts";

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

type Owner = LockOwner | null;

/** The error when this process holds the lock for `purpose`. */
function heldFor(purpose: string): (error: Error) => boolean {
  return (error) => {
    assert.ok(error instanceof LockHeld);
    assert.equal(error.name, "LockHeld");
    assert.match(
      error.message,
      new RegExp(`^held by process ${Deno.pid} since \\S+Z for ${purpose}$`),
    );
    assert.deepEqual([error.owner?.pid, error.owner?.purpose], [Deno.pid, purpose]);
    return true;
  };
}

Deno.test("FileLock.acquire() tells whoever has to wait the holder's process, time and purpose", () =>
  withPath(async (path) => {
    const before = Date.now();
    const lock = await acquire(path, { purpose: "apply topology-1" });
    const after = Date.now();
    const { promise: told, resolve } = Promise.withResolvers<Owner>();
    const next = acquire(path, { onWait: resolve });
    const owner = await told;
    assert.deepEqual([owner?.pid, owner?.purpose], [Deno.pid, "apply topology-1"]);
    const since = Date.parse(owner!.since);
    assert.ok(since >= before && since <= after);
    lock.release();
    (await next).release();
  }));

Deno.test("FileLock.acquire() refuses a lock that is held when nobody wants to wait", () =>
  withPath(async (path) => {
    const lock = await acquire(path, { purpose: "apply topology-1" });
    for (let times = 0; times < 2; times++) {
      await assert.rejects(acquire(path), heldFor("apply topology-1"));
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
    await assert.rejects(acquire(path), heldFor("apply topology-1"));
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
      assert.match(
        Deno.readTextFileSync(path),
        new RegExp(`^process ${Deno.pid} since \\S+Z for ${purpose}\n$`),
      );
      lock.release();
      assert.equal(Deno.readTextFileSync(path), "");
    }
  }));

Deno.test("FileLock.acquire() takes over what a dead holder left in the file", () =>
  withPath(async (path) => {
    Deno.writeTextFileSync(path, `process 1 since then for ${"x".repeat(500)}\nand more\n`);
    const lock = await acquire(path);
    assert.match(
      Deno.readTextFileSync(path),
      new RegExp(`^process ${Deno.pid} since \\S+Z for test\n$`),
    );
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
    const { promise: waits, resolve } = Promise.withResolvers<Owner>();
    const next = acquire(path, { purpose: "next", onWait: resolve });
    await waits;
    Deno.removeSync(path);
    old.release();
    const lock = await next;
    await assert.rejects(acquire(path), heldFor("next"));
    lock.release();
  }));

const { signal } = new AbortController();

/** Another process, which takes the lock or waits for it. */
class OtherProcess implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #lines: ReadableStreamDefaultReader<string>;
  #text = "";

  constructor(path: string, purpose: string) {
    const program = new URL("../tests/support/programs/lock_holder.ts", import.meta.url).href;
    this.#child = new Deno.Command(Deno.execPath(), {
      args: ["run", "-q", "--no-prompt", "--allow-read", "--allow-write", program, path, purpose],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    this.#lines = this.#child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** The next line that it says. */
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

  /** Lets it give the lock back and end. */
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

function acquireLock(path: string, onWait?: (owner: Owner) => void): Promise<FileLock> {
  return FileLock.acquire(path, { purpose: "apply ours", signal, onWait });
}

Deno.test("FileLock is refused, or waited for, while another process has it", async () => {
  using folder = new TemporaryFolder();
  const path = `${folder.path}/apply.lock`;
  await using other = new OtherProcess(path, "apply theirs");
  assert.equal(await other.line(), "has it");
  const holder = new RegExp(`process ${other.pid} since [-\\dT:.]+Z for apply theirs$`);
  await assert.rejects(acquireLock(path), (error) => {
    return error instanceof LockHeld && holder.test(error.message);
  });
  const told: string[] = [];
  const waited = Promise.withResolvers<void>();
  const next = acquireLock(path, (owner) => {
    told.push(describeOwner(owner));
    waited.resolve();
  });
  await waited.promise;
  assert.match(told.join(), holder);
  await other.end();
  (await next).release();
  assert.equal(told.length, 1);
});

Deno.test("FileLock keeps another process waiting, which is told who it waits for", async () => {
  using folder = new TemporaryFolder();
  const path = `${folder.path}/apply.lock`;
  const lock = await acquireLock(path);
  await using other = new OtherProcess(path, "apply theirs");
  assert.match(
    await other.line(),
    new RegExp(`^waits for process ${Deno.pid} since \\S+Z for apply ours$`),
  );
  lock.release();
  assert.equal(await other.line(), "has it");
  await assert.rejects(acquireLock(path), LockHeld);
  await other.end();
  (await acquireLock(path)).release();
});

Deno.test("FileLock is free as soon as its holder was killed", async () => {
  using folder = new TemporaryFolder();
  const path = `${folder.path}/apply.lock`;
  await using other = new OtherProcess(path, "apply theirs");
  assert.equal(await other.line(), "has it");
  await assert.rejects(acquireLock(path), LockHeld);
  await other.kill();
  assert.match(Deno.readTextFileSync(path), /for apply theirs\n$/);
  const lock = await acquireLock(path);
  assert.match(Deno.readTextFileSync(path), new RegExp(`^process ${Deno.pid} .* apply ours\\n$`));
  lock.release();
});

Deno.test("FileLock waits a moment for its holder to say who it is", async () => {
  using folder = new TemporaryFolder();
  const path = `${folder.path}/apply.lock`;
  using file = Deno.openSync(path, { write: true, create: true });
  assert.ok(file.tryLockSync(true));
  const refused = assert.rejects(acquireLock(path), {
    message: "held by process 1 since now for a test",
  });
  file.writeSync(new TextEncoder().encode("process 1 since now for a test\n"));
  await refused;
  file.truncateSync();
  await assert.rejects(acquireLock(path), { message: "held by another process" });
});

/** File permissions have an effect on root only without these capabilities. */
const confined = Deno.uid() === 0
  ? ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
  : ["env"];

async function run(args: string[], env: Record<string, string> = {}) {
  const [command = "", ...rest] = [...confined, ...args];
  return await new Deno.Command(command, { args: rest, env }).output();
}

const { ignore, suffix, check } = requirement(
  "setpriv, as root",
  await run(["true"]).then(({ success }) => success, () => false),
);

Deno.test({
  name: `S17 a running agent applies nothing while another user owns the lock${suffix}`,
  ignore,
  async fn() {
    check();
    using folder = new TemporaryFolder();
    const S = `${folder.path}/state`;
    const program = import.meta.resolve("../tests/support/programs/store_lasting_user.ts");
    const { success, stdout, stderr } = await run([
      ...[Deno.execPath(), "run", "-q", "--no-check", "-A", program, `${S}/topology.db`],
      ...["chmod 0 $S/apply.lock", "chmod 600 $S/apply.lock"],
    ], { S, NO_COLOR: "1" });
    assert.ok(success, new TextDecoder().decode(stderr));
    const [, meanwhile] = new TextDecoder().decode(stdout).trim().split("\n")
      .map((line) => JSON.parse(line));
    assert.match(meanwhile.apply, /^Cannot lock \S+apply\.lock: Permission denied; .*agent's user/);
    assert.deepEqual([meanwhile.state, meanwhile.applied], ["ok", "1"]);
  },
});

const { signal: signalLockReplaced } = new AbortController();

/** Runs a test with the path of a lock that is held, and with what gives it back. */
async function withHeld(test: (path: string, held: FileLock) => Promise<void>): Promise<void> {
  using folder = new TemporaryFolder();
  const path = `${folder.path}/apply.lock`;
  await test(path, await FileLock.acquire(path, { purpose: "a test", signal: signalLockReplaced }));
}

Deno.test("FileLock.acquire() tells what has taken the place of the lock that it waited for", () =>
  withHeld(async (path, held) => {
    const { promise: waits, resolve } = Promise.withResolvers<Owner>();
    const next = FileLock.acquire(path, {
      purpose: "next",
      signal: signalLockReplaced,
      onWait: resolve,
    });
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
    const { promise: waits, resolve } = Promise.withResolvers<Owner>();
    const next = FileLock.acquire(path, {
      purpose: "next",
      signal: signalLockReplaced,
      onWait: resolve,
    });
    Deno.removeSync(path);
    assert.equal(await Promise.race([waits, next]), null);
    held.release();
    const lock = await next;
    assert.match(Deno.readTextFileSync(path), /^process \d+ since \S+ for next\n$/);
    lock.release();
    assert.equal(Deno.readTextFileSync(path), "");
  }));
