import assert from "node:assert/strict";
import { TimeoutSet } from "../host/timeouts.ts";
import { TemporaryFolder } from "../tests/support/environment.ts";
import { EngineConnection } from "./http.ts";

Deno.test("EngineConnection.close() keeps no timeout, which would keep its buffer", async () => {
  using folder = new TemporaryFolder();
  const path = `${folder.path}/docker.sock`;
  using _listener = Deno.listen({ transport: "unix", path });
  let running = 0;
  class CountedTimeouts extends TimeoutSet {
    override start(ms: number, onDue: () => void): () => void {
      const stop = super.start(ms, onDue);
      running++;
      return () => {
        stop();
        running--;
      };
    }
  }
  const { signal } = new AbortController();
  const connection = await EngineConnection.open(path, signal, { timeouts: new CountedTimeouts() });
  connection.abortAfter(100);
  connection.abortAfter(100)();
  assert.equal(running, 1);
  connection.close();
  assert.equal(running, 0);
});
