import assert from "node:assert/strict";
import { checkMessage } from "./message_oracle.ts";

/** An answer of the API. */
export interface ApiAnswer {
  readonly status: number;
  readonly body: unknown;
}

const statuses = [100, 200, 400, 404, 405, 408, 409, 413, 417, 422, 431, 500, 503];

/** All whole answers in what was heard, each of which must be right in itself. */
export function readAnswers(heard: string, isOver: boolean): ApiAnswer[] {
  const answers: ApiAnswer[] = [];
  for (let rest = heard; rest !== "";) {
    const end = rest.indexOf("\r\n\r\n") + 4;
    if (end < 4) break;
    const [line = "", ...fields] = rest.slice(0, end - 4).split("\r\n");
    const status = Number(/^HTTP\/1\.1 (\d{3}) [\w ]+$/.exec(line)?.[1]);
    assert.ok(statuses.includes(status), `it answered ${line.slice(0, 200)}`);
    const length = fields.map((it) => /^content-length: (\d+)$/i.exec(it)?.[1]).find((it) => it);
    rest = rest.slice(end);
    if (status === 100) continue;
    assert.ok(length !== undefined, `an answer without a length: ${line}`);
    // To HEAD only the head is sent.
    if ((isOver && rest === "") || rest.startsWith("HTTP/1.1 ")) {
      answers.push({ status, body: null });
      continue;
    }
    if (rest.length < Number(length)) break;
    const text = rest.slice(0, Number(length));
    rest = rest.slice(Number(length));
    answers.push({ status, body: checkBody(status, text) });
  }
  return answers;
}

function checkBody(status: number, text: string): unknown {
  const bytes = Uint8Array.from(text, (it) => it.charCodeAt(0));
  const body = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  if (status === 200) return body;
  assert.deepEqual(Object.keys(body), ["detail"]);
  checkMessage(body.detail);
  assert.notEqual(body.detail, "internal error");
  return body;
}
