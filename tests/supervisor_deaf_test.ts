import assert from "node:assert/strict";
import { Supervisor } from "../host/mod.ts";
import { TemporaryFolder } from "./temporary_folder.ts";

Deno.test("Supervisor.close() does not wait for ever for a supervisor that takes nothing any more", async () => {
  using folder = new TemporaryFolder();
  const socket = `${folder.path}/notify`;
  // Its queue is never emptied.
  const listener = Deno.listenDatagram({ transport: "unixpacket", path: socket });
  const length = Number(Deno.readTextFileSync("/proc/sys/net/unix/max_dgram_qlen"));
  const errors: unknown[] = [];
  const onError = (error: unknown) => errors.push(error);
  const supervisor = new Supervisor({ socket, watchdogUsec: undefined, onError });
  for (let count = 0; count < 2 * length + 10; count++) supervisor.status(String(count));
  let timer: ReturnType<typeof setTimeout> | undefined;
  const hangs = new Promise((resolve) => timer = setTimeout(() => resolve("it hangs"), 10_000));
  assert.equal(await Promise.race([supervisor.close().then(() => "closed"), hangs]), "closed");
  clearTimeout(timer);
  assert.deepEqual(errors.map(String), ["Error: it takes nothing any more"]);
  // What had begun to be sent when it ended goes through by that, and nothing after it.
  for (let count = 0; count < length + 2; count++) await listener.receive();
  listener.close();
});
