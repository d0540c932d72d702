import assert from "node:assert/strict";
import { TemporaryFolder } from "../tests/support/environment.ts";
import {
  type Account,
  Accounts,
  mayUse,
  quotePath,
  reading,
  searching,
  writing,
} from "./system.ts";

Deno.test("Accounts reads the system's files, and knows the rest by number", async () => {
  using folder = new TemporaryFolder();
  await Deno.mkdir(`${folder.path}/etc`);
  await Deno.writeTextFile(`${folder.path}/etc/passwd`, "root:x:0:0::/:\nalice:x:7:8::/:\n");
  await Deno.writeTextFile(`${folder.path}/etc/group`, "docker:x:9:bob,alice\nusers:x:8:\n");
  const accounts = new Accounts(folder.path);
  assert.deepEqual(accounts.byUid(7), { uid: 7, name: "alice", groups: new Set([8, 9]) });
  assert.deepEqual(accounts.byName("alice"), accounts.byUid(7));
  assert.deepEqual(accounts.byUid(99), { uid: 99, name: "99", groups: new Set() });
  assert.equal(accounts.byName("carol"), null);
  assert.equal(accounts.groupName(9), "docker");
  assert.equal(accounts.groupName(10), "10");
  assert.equal(new Accounts(`${folder.path}/none`).groupName(9), "9");
});

Deno.test("mayUse() goes by the first class that a user is in", () => {
  const user: Account = { uid: 7, name: "alice", groups: new Set([8]) };
  const cases: [uid: number, gid: number, mode: number, wanted: number, may: boolean][] = [
    [7, 0, 0o600, reading | writing, true],
    [7, 0, 0o066, reading, false],
    [0, 8, 0o060, reading | writing, true],
    [0, 8, 0o606, reading, false],
    [0, 0, 0o006, writing, true],
    [0, 0, 0o004, reading | writing, false],
    [7, 8, 0o100, searching, true],
  ];
  for (const [uid, gid, mode, wanted, may] of cases) {
    const text = `${uid}:${gid} ${mode.toString(8)} ${wanted}`;
    assert.equal(mayUse(user, { uid, gid, mode }, wanted), may, text);
  }
  const root = { uid: 0, name: "root", groups: new Set<number>() };
  assert.ok(mayUse(root, { uid: 7, gid: 7, mode: 0 }, writing));
});

Deno.test("quotePath() makes one word of a path, and never an option", () => {
  const cases: [path: string, word: string][] = [
    ["/var/lib/a-b_c.d@e", "/var/lib/a-b_c.d@e"],
    ["/a b/$(reboot);'", "'/a b/$(reboot);'\\'''"],
    ["-rf", "./-rf"],
    ["-r f", "'./-r f'"],
  ];
  for (const [path, word] of cases) assert.equal(quotePath(path), word);
});
