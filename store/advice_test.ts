import assert from "node:assert/strict";
import { explain } from "./advice.ts";

Deno.test("explain() says what to do, and leaves out what the runtime adds for itself", () => {
  const cases: [said: string, explained: string][] = [
    [
      "Permission denied (os error 13): lstat '/state/topology.db'",
      "Permission denied; see that the agent's user owns the file and its folder (chown -R)",
    ],
    [
      "Read-only file system (os error 30): open '/it's (os error 1)/apply.lock'",
      "Read-only file system; remount it, so that the agent can write there",
    ],
    [
      "Not a directory (os error 20): lstat 'file/topology.db'",
      "Not a directory; see that state-dir names a folder",
    ],
    [
      "Too many open files (os error 24)",
      "Too many open files; let the agent open more (ulimit -n, LimitNOFILE=)",
    ],
    ["database or disk is full", "database or disk is full; free some space there"],
    ["no such table: x", "no such table: x"],
  ];
  for (const [said, explained] of cases) assert.equal(explain(new Error(said)), explained);
});
