import assert from "node:assert/strict";
import { FileLock, LockHeld } from "../host/mod.ts";
import { TemporaryFolder } from "./temporary_folder.ts";

const { signal } = new AbortController();

/** Another process, which takes the lock or waits for it. */
class Holder implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #lines: ReadableStreamDefaultReader<string>;
  #text = "";

  constructor(path: string, purpose: string) {
    const program = new URL("./lock_holder.ts", import.meta.url).href;
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

function acquire(path: string, onWait?: (holder: string) => void): Promise<FileLock> {
  return FileLock.acquire(path, { purpose: "apply ours", signal, onWait });
}

Deno.test("FileLock is refused, or waited for, while another process has it", async () => {
  using folder = new TemporaryFolder();
  const path = `${folder.path}/apply.lock`;
  await using other = new Holder(path, "apply theirs");
  assert.equal(await other.line(), "has it");
  const holder = new RegExp(`process ${other.pid} since [-\\dT:.]+Z for apply theirs$`);
  await assert.rejects(acquire(path), (error) => {
    return error instanceof LockHeld && holder.test(error.message);
  });
  const told: string[] = [];
  const waited = Promise.withResolvers<void>();
  const next = acquire(path, (holder) => {
    told.push(holder);
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
  const lock = await acquire(path);
  await using other = new Holder(path, "apply theirs");
  assert.match(
    await other.line(),
    new RegExp(`^waits for process ${Deno.pid} since \\S+Z for apply ours$`),
  );
  lock.release();
  assert.equal(await other.line(), "has it");
  await assert.rejects(acquire(path), LockHeld);
  await other.end();
  (await acquire(path)).release();
});

Deno.test("FileLock is free as soon as its holder was killed", async () => {
  using folder = new TemporaryFolder();
  const path = `${folder.path}/apply.lock`;
  await using other = new Holder(path, "apply theirs");
  assert.equal(await other.line(), "has it");
  await assert.rejects(acquire(path), LockHeld);
  await other.kill();
  assert.match(Deno.readTextFileSync(path), /for apply theirs\n$/);
  const lock = await acquire(path);
  assert.match(Deno.readTextFileSync(path), new RegExp(`^process ${Deno.pid} .* apply ours\\n$`));
  lock.release();
});

Deno.test("FileLock waits a moment for its holder to say who it is", async () => {
  using folder = new TemporaryFolder();
  const path = `${folder.path}/apply.lock`;
  using file = Deno.openSync(path, { write: true, create: true });
  assert.ok(file.tryLockSync(true));
  const refused = assert.rejects(acquire(path), { message: "held by process 1, newly" });
  file.writeSync(new TextEncoder().encode("process 1, newly\n"));
  await refused;
  file.truncateSync();
  await assert.rejects(acquire(path), { message: "held by another process" });
});
