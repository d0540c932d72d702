import assert from "node:assert/strict";
import { TemporaryFolder } from "../tests/support/environment.ts";
import { makeFifo } from "../tests/support/requirements.ts";
import { type Problem, readProblems, recordProblem } from "./problems.ts";

/** A state folder with a file of problems. */
class StateFolder extends TemporaryFolder {
  readonly storePath = `${this.path}/topology.db`;
  readonly problemsPath = `${this.path}/problems.json`;

  texts(): string[] {
    return readProblems(this.storePath).map(({ text }) => text);
  }
}

const problem: Problem = { at: "2026-11-29T12:00:00.000Z", level: "warn", text: "msg=x" };

Deno.test("recordProblem() keeps the last 20, also those of an earlier run", () => {
  using folder = new StateFolder();
  recordProblem(folder.storePath, "warn", "msg=0");
  for (let index = 1; index <= 20; index++) {
    recordProblem(folder.storePath, "error", `msg=${index}`);
  }
  assert.deepEqual(folder.texts(), Array.from({ length: 20 }, (_, index) => `msg=${index + 1}`));
  assert.equal(Deno.statSync(folder.problemsPath).mode! & 0o777, 0o600);
  const [first] = readProblems(folder.storePath);
  assert.equal(first!.level, "error");
  assert.ok(Math.abs(Date.now() - Date.parse(first!.at)) < 60_000, first!.at);
});

Deno.test("recordProblem() shortens a text, and the file stays readable", () => {
  using folder = new StateFolder();
  const text = "\u{1f600}\u0001".repeat(5_000);
  for (let index = 0; index < 20; index++) recordProblem(folder.storePath, "warn", text);
  assert.deepEqual([...new Set(folder.texts().map(({ length }) => length))], [500]);
  assert.equal(folder.texts().length, 20);
});

const foreign: Readonly<Record<string, (path: string) => unknown>> = {
  "no JSON": (path) => Deno.writeTextFileSync(path, "[{"),
  "no list": (path) => Deno.writeTextFileSync(path, "{}"),
  "a list of null": (path) => Deno.writeTextFileSync(path, "[null]"),
  "another level": (path) =>
    Deno.writeTextFileSync(path, JSON.stringify([{ ...problem, level: "fatal" }])),
  "a time that is none": (path) =>
    Deno.writeTextFileSync(path, JSON.stringify([{ ...problem, at: "soon" }])),
  "a text that is too long": (path) =>
    Deno.writeTextFileSync(path, JSON.stringify([{ ...problem, text: "x".repeat(501) }])),
  "over 64 KiB": (path) =>
    Deno.writeTextFileSync(path, JSON.stringify([problem]) + " ".repeat(2 ** 16)),
  "a link": (path) => {
    Deno.writeTextFileSync(`${path}.elsewhere`, JSON.stringify([problem]));
    Deno.symlinkSync(`${path}.elsewhere`, path);
  },
  "a pipe": makeFifo,
};
for (const [what, make] of Object.entries(foreign)) {
  Deno.test(`S26 recordProblem() replaces ${what}`, async () => {
    using folder = new StateFolder();
    await make(folder.problemsPath);
    assert.deepEqual(folder.texts(), []);
    recordProblem(folder.storePath, "warn", "msg=ours");
    assert.deepEqual(folder.texts(), ["msg=ours"]);
    assert.ok(Deno.lstatSync(folder.problemsPath).isFile);
  });
}

Deno.test("S26 recordProblem() does no harm where it cannot write", () => {
  using folder = new StateFolder();
  Deno.mkdirSync(folder.problemsPath);
  for (const path of [folder.storePath, `${folder.path}/absent/topology.db`, "/proc/topology.db"]) {
    recordProblem(path, "warn", "msg=lost");
    assert.deepEqual(readProblems(path), []);
  }
  assert.deepEqual([...Deno.readDirSync(folder.path)].map(({ name }) => name), ["problems.json"]);
});
