import assert from "node:assert/strict";
import { Host } from "./host.ts";
import { RunningAgent } from "./running_agent.ts";

/** The socket of a supervisor, and the status that it was sent last. */
class StatusListener implements AsyncDisposable {
  readonly path: string;
  readonly #socket: Deno.DatagramConn;
  readonly #reading: Promise<void>;
  status = "";

  constructor(folder: string) {
    this.path = `${folder}/notify.sock`;
    this.#socket = Deno.listenDatagram({ transport: "unixpacket", path: this.path });
    this.#reading = this.#read();
  }

  async #read(): Promise<void> {
    for await (const [bytes] of this.#socket) {
      const text = new TextDecoder().decode(bytes);
      this.status = /^STATUS=(.*)$/m.exec(text)?.[1] ?? this.status;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.close();
    await this.#reading;
  }
}

for (const withMaster of [true, false]) {
  const master = withMaster ? "a master" : "no master";
  Deno.test(`decnet-agent updates its status with ${master} and no metrics file`, async () => {
    await using host = await Host.create();
    const engine = await host.startEngine();
    const flags = host.flags(withMaster ? (await host.startMaster()).master : undefined);
    await using listener = new StatusListener(host.folder);
    await using agent = new RunningAgent(["--interval=5s", ...flags], {
      env: { NOTIFY_SOCKET: listener.path },
    });
    await agent.until(() => listener.status.startsWith("idle, "));
    engine.fault = { kind: "reset" };
    await agent.until(() => listener.status.startsWith("Cannot "));
    const { code } = await agent.stop("SIGTERM");
    assert.equal(code, 0);
  });
}
