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

/** What comes in JSON, a list or an object; these fields are the ones that tests ask for. */
interface AnswerBody {
  readonly Id?: string;
  readonly message?: string;
  readonly [field: string]: unknown;
}

/** An answer as a client sees it; `body` is null when there is none. */
export interface Answer {
  readonly status: number;
  readonly body: AnswerBody | null;
}

/**
 * Calls the engine at a socket, with a body in JSON; a text and bytes go as they are. Throws
 * `Error` when no whole answer comes. (fetch would call a second time where the first was cut off.)
 */
export function call(
  socketPath: string,
  method: string,
  path: string,
  body?: unknown,
): Promise<Answer> {
  const bytes = body instanceof Uint8Array
    ? body
    : encode(typeof body === "string" ? body : JSON.stringify(body) ?? "");
  const type = body instanceof Uint8Array ? "application/x-tar" : "application/json";
  const headers = body === undefined
    ? {}
    : { "Content-Type": type, "Content-Length": bytes.length };
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
