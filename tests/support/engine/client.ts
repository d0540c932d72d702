import { request } from "node:http";
import { TemporaryFolder } from "../environment.ts";
import { FakeEngine } from "./fake_engine.ts";
import { encode } from "./http.ts";

/** Runs a test against an engine that runs nothing at first. */
export async function withEngine(test: (engine: FakeEngine) => Promise<void>): Promise<void> {
  using folder = new TemporaryFolder();
  await using engine = await FakeEngine.start(`${folder.path}/docker.sock`);
  await test(engine);
}

/** An answer as a client sees it; `body` is what comes in JSON, null when nothing does. */
export interface Answer {
  readonly status: number;
  readonly body: { readonly Id?: string; readonly message?: string; readonly Arch?: string } | null;
}

/**
 * Calls the engine at a socket, with a body in JSON, or an archive in bytes. Throws `Error` when no
 * whole answer comes. (fetch would call a second time where the first was cut off.)
 */
export function call(
  socketPath: string,
  method: string,
  path: string,
  body?: object,
): Promise<Answer> {
  const isArchive = body instanceof Uint8Array;
  const bytes = isArchive ? body : encode(JSON.stringify(body) ?? "");
  const type = isArchive ? "application/x-tar" : "application/json";
  const headers = body && { "Content-Type": type, "Content-Length": bytes.length };
  return new Promise((resolve, reject) => {
    const sent = request({ socketPath, method, path, headers, agent: false }, async (response) => {
      try {
        let answer = "";
        for await (const part of response.setEncoding("utf8")) answer += part;
        const status = response.statusCode ?? 0;
        resolve({ status, body: answer === "" ? null : JSON.parse(answer) });
      } catch (error) {
        reject(error);
      }
    });
    sent.on("error", reject).end(bytes);
  });
}
