import assert from "node:assert/strict";
import fs from "node:fs";
import { TemporaryFolder } from "../tests/support/environment.ts";
import { isJournal, SystemdNotifier } from "./systemd.ts";

/** Listens as systemd does, on a path or, with `@`, on an abstract address. */
class Listener implements Disposable {
  readonly #socket: Deno.DatagramConn;

  constructor(readonly address: string) {
    const path = address.replace(/^@/, "\0");
    this.#socket = Deno.listenDatagram({ transport: "unixpacket", path });
  }

  /** The next message. */
  async next(): Promise<string> {
    const [bytes] = await this.#socket.receive();
    return new TextDecoder().decode(bytes);
  }

  [Symbol.dispose](): void {
    this.#socket.close();
  }
}

async function withListeners(test: (listener: Listener) => Promise<void>): Promise<void> {
  using folder = new TemporaryFolder();
  for (const address of [`${folder.path}/notify`, `@decnet-test-${crypto.randomUUID()}`]) {
    using listener = new Listener(address);
    await test(listener);
  }
}

const quiet = { watchdogUsec: undefined, onError: (error: unknown) => assert.fail(String(error)) };

Deno.test("SystemdNotifier sends to a path and to an abstract address", async () => {
  await withListeners(async (listener) => {
    const systemd = new SystemdNotifier({ ...quiet, socket: listener.address });
    systemd.notify("READY");
    assert.equal(await listener.next(), "READY=1");
    systemd.status("all\nis well");
    assert.equal(await listener.next(), "STATUS=all is well");
    systemd.notify("STOPPING");
    assert.equal(await listener.next(), "STOPPING=1");
    await systemd.close();
  });
});

Deno.test("SystemdNotifier sends many messages in order", async () => {
  await withListeners(async (listener) => {
    const systemd = new SystemdNotifier({ ...quiet, socket: listener.address });
    // Nothing is read yet: what does not fit waits.
    for (let number = 0; number < 30; number++) systemd.status(`${number}`);
    systemd.notify("READY");
    for (let number = 0; number < 30; number++) {
      assert.equal(await listener.next(), `STATUS=${number}`);
    }
    assert.equal(await listener.next(), "READY=1");
    await systemd.close();
  });
});

Deno.test("SystemdNotifier feeds the watchdog three times in its interval", async () => {
  await withListeners(async (listener) => {
    const options = { socket: listener.address, watchdogUsec: "60000" };
    const systemd = new SystemdNotifier({ ...quiet, ...options });
    systemd.work("begin");
    for (let times = 0; times < 3; times++) assert.equal(await listener.next(), "WATCHDOG=1");
    await systemd.close();
  });
});

Deno.test("SystemdNotifier stops feeding the watchdog when work hangs", async () => {
  await withListeners(async (listener) => {
    const systemd = new SystemdNotifier({
      ...quiet,
      socket: listener.address,
      watchdogUsec: "30000",
      maximumWorkMs: 20,
    });
    systemd.work("begin");
    await new Promise((resolve) => setTimeout(resolve, 60));
    systemd.status("mark");
    // At most what was sent within the 20 ms.
    let message = await listener.next();
    for (let times = 0; message === "WATCHDOG=1"; times++) {
      assert.ok(times < 3, "it is fed though the work hangs");
      message = await listener.next();
    }
    assert.equal(message, "STATUS=mark");
    systemd.work("end");
    assert.equal(await listener.next(), "WATCHDOG=1");
    await systemd.close();
  });
});

Deno.test("SystemdNotifier does nothing without systemd", async () => {
  const systemd = new SystemdNotifier({ ...quiet, socket: undefined, watchdogUsec: "1000" });
  systemd.notify("READY");
  systemd.status("x");
  await systemd.close();
});

Deno.test("SystemdNotifier reports once that it cannot send", async () => {
  const errors: unknown[] = [];
  const onError = (error: unknown) => errors.push(error);
  const systemd = new SystemdNotifier({ ...quiet, socket: "/nonexistent/notify", onError });
  systemd.notify("READY");
  systemd.status("x");
  await systemd.close();
  systemd.status("after the end");
  assert.equal(errors.length, 1);
});

Deno.test("SystemdNotifier.close() does not wait for ever for systemd", async () => {
  using folder = new TemporaryFolder();
  const socket = `${folder.path}/notify`;
  // Its queue is never emptied.
  const listener = Deno.listenDatagram({ transport: "unixpacket", path: socket });
  const length = Number(Deno.readTextFileSync("/proc/sys/net/unix/max_dgram_qlen"));
  const errors: unknown[] = [];
  const onError = (error: unknown) => errors.push(error);
  const systemd = new SystemdNotifier({ socket, watchdogUsec: undefined, onError });
  for (let count = 0; count < 2 * length + 10; count++) systemd.status(String(count));
  let timer: ReturnType<typeof setTimeout> | undefined;
  const hangs = new Promise((resolve) => timer = setTimeout(() => resolve("it hangs"), 10_000));
  assert.equal(await Promise.race([systemd.close().then(() => "closed"), hangs]), "closed");
  clearTimeout(timer);
  assert.deepEqual(errors.map(String), ["Error: it does not read its messages"]);
  // What was being sent when it closed still arrives, and nothing after it.
  for (let count = 0; count < length + 2; count++) await listener.receive();
  listener.close();
});

Deno.test("isJournal() knows the stream of the journal by its device and inode", () => {
  using folder = new TemporaryFolder();
  const stream = fs.openSync(`${folder.path}/stream`, "w");
  const { dev, ino } = fs.fstatSync(stream);
  assert.equal(isJournal(`${dev}:${ino}`, stream), true);
  for (const other of [undefined, "", `${dev}:${ino + 1}`, `${dev + 1}:${ino}`, `${dev}`, "x"]) {
    assert.equal(isJournal(other, stream), false);
  }
  fs.closeSync(stream);
});
