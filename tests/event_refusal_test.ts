import assert from "node:assert/strict";
import { listenToEvents } from "../docker/events.ts";
import { scriptSocket } from "./scripted_socket.ts";
import { TemporaryFolder } from "./temporary_folder.ts";

const refused = "HTTP/1.1 403 Forbidden\r\n";
const cases: [what: string, answer: string, reason: string][] = [
  ["never ends", `${refused}\r\n{"message":"not here"}`, "403 (not here)"],
  ["stops in the middle", `${refused}Content-Length: 1000\r\n\r\n{"mess`, "403"],
  ["is larger than anybody reads", `${refused}\r\n${"x".repeat(100_000)}`, "403"],
  ["is cut into wrong chunks", `${refused}Transfer-Encoding: chunked\r\n\r\nno chunk\r\n`, "403"],
];
for (const [what, text, reason] of cases) {
  Deno.test(`listenToEvents() gives up, and tells the status, when a refusal ${what}`, async () => {
    using folder = new TemporaryFolder();
    const socket = `${folder.path}/docker.sock`;
    await using _engine = scriptSocket(socket, [{ text }]);
    const listening = listenToEvents(new AbortController().signal, {
      socket,
      networkPrefixes: [],
      containerPrefixes: [],
      onOpen: () => assert.fail("it was refused"),
      onChange: () => {},
    });
    await assert.rejects(listening, {
      message: `Cannot listen to Docker at ${socket}: GET /events was answered with ${reason}`,
    });
  });
}
