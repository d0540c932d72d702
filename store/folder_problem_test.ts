import assert from "node:assert/strict";
import { TemporaryFolder } from "../tests/temporary_folder.ts";
import { findFolderProblem } from "./mod.ts";

const own = Deno.uid() ?? 0;
const somebody = own + 4711;
const begin = "the store cannot be written: user ";
const advice = "make the file and its folder writable for the agent's user";

const rows: [what: string, mode: number, uid: number, problem: string | null][] = [
  [
    "a folder of somebody else",
    0o755,
    somebody,
    ` may not write to its folder, which is of user ${own}; `,
  ],
  ["a folder in which all may write", 0o757, somebody, null],
  ["a folder in which a group or an access control list may", 0o775, somebody, null],
  ["a folder for root", 0o555, 0, null],
];
// Root may write anywhere.
if (own !== 0) {
  rows.push(["an own folder that is read-only", 0o500, own, " may not write to its folder; "]);
}

for (const [what, mode, uid, problem] of rows) {
  Deno.test(`findFolderProblem() ${problem ? "tells of" : "is silent on"} ${what}`, () => {
    using folder = new TemporaryFolder();
    const state = `${folder.path}/state`;
    Deno.mkdirSync(state);
    Deno.chmodSync(state, mode);
    const expected = problem && `${begin}${uid}${problem}${advice}`;
    assert.equal(findFolderProblem(`${state}/topology.db`, uid), expected);
    Deno.chmodSync(state, 0o700);
  });
}

Deno.test("findFolderProblem() is silent where there is no folder", () => {
  using folder = new TemporaryFolder();
  assert.equal(findFolderProblem(`${folder.path}/state/topology.db`, somebody), null);
});
