import assert from "node:assert/strict";
import { TemporaryFolder } from "../tests/support/environment.ts";
import { mounts, outputOf } from "../tests/support/requirements.ts";
import { replaceTextFile } from "./new_file.ts";

const permissions = (path: string) => Deno.statSync(path).mode! & 0o7777;

Deno.test("replaceTextFile() creates a file that every user may read", () => {
  using folder = new TemporaryFolder();
  const path = `${folder.path}/a.prom`;
  const before = Deno.umask(0o077);
  try {
    assert.equal(replaceTextFile(path, "one\n"), null);
    assert.equal(permissions(path), 0o644);
    assert.equal(replaceTextFile(path, "é\n"), null);
  } finally {
    Deno.umask(before);
  }
  assert.equal(Deno.readTextFileSync(path), "é\n");
  assert.equal(permissions(path), 0o644);
  assert.deepEqual([...Deno.readDirSync(folder.path)].map(({ name }) => name), ["a.prom"]);
});

Deno.test("replaceTextFile() leaves the file that a reader has open", () => {
  using folder = new TemporaryFolder();
  const path = `${folder.path}/a.prom`;
  assert.equal(replaceTextFile(path, "old"), null);
  using reader = Deno.openSync(path);
  assert.equal(replaceTextFile(path, "new"), null);
  const buffer = new Uint8Array(9);
  assert.equal(new TextDecoder().decode(buffer.subarray(0, reader.readSync(buffer)!)), "old");
});

Deno.test("replaceTextFile() follows no link at its temporary file", () => {
  using folder = new TemporaryFolder();
  const path = `${folder.path}/a.prom`;
  const other = `${folder.path}/other`;
  Deno.writeTextFileSync(other, "untouched", { mode: 0o600 });
  Deno.symlinkSync(other, `${path}.${Deno.pid}.tmp`);
  assert.equal(replaceTextFile(path, "text"), null);
  assert.equal(Deno.lstatSync(path).isFile, true);
  assert.deepEqual([Deno.readTextFileSync(other), permissions(other)], ["untouched", 0o600]);
});

Deno.test("replaceTextFile() reports why it cannot, and leaves nothing", () => {
  using folder = new TemporaryFolder();
  Deno.mkdirSync(`${folder.path}/folder`);
  Deno.writeTextFileSync(`${folder.path}/file`, "as it was");
  // The name of the temporary file is longer.
  const long = "x".repeat(250);
  const cases: [path: string, message: RegExp][] = [
    [`${folder.path}/folder`, /: it is a folder; name a file in it$/],
    ["/dev/null", /: it is no regular file; name another one$/],
    [`${folder.path}/absent/a`, /: its folder does not exist; make it$/],
    [`${folder.path}/file/a`, /: a part of its path is not a folder$/],
    [`${folder.path}/${long}`, /: File name too long$/],
    ["/proc/a.prom", /: /],
  ];
  for (const [path, message] of cases) {
    const problem = replaceTextFile(path, "text") ?? "";
    assert.ok(problem.startsWith(`Cannot write ${path}: `), problem);
    assert.match(problem, message);
  }
  assert.equal(Deno.readTextFileSync(`${folder.path}/file`), "as it was");
  const names = [...Deno.readDirSync(folder.path)].map(({ name }) => name).sort();
  assert.deepEqual(names, ["file", "folder"]);
  assert.ok(Deno.statSync("/dev/null").isCharDevice);
});

Deno.test("replaceTextFile() writes to no device behind a link", () => {
  using folder = new TemporaryFolder();
  Deno.symlinkSync("/dev/full", `${folder.path}/a.prom`);
  assert.match(replaceTextFile(`${folder.path}/a.prom`, "x") ?? "", /no regular file/);
  assert.ok(Deno.lstatSync(`${folder.path}/a.prom`).isSymlink);
});

mounts.test("replacePrivateFile() keeps the old file on a full disk", async () => {
  using folder = new TemporaryFolder();
  const program = `import { replacePrivateFile } from "${import.meta.resolve("./new_file.ts")}";
    for (const size of [3, 200_000]) try { replacePrivateFile("a", "x".repeat(size)); } catch {}
    console.log(Deno.statSync("a").size, ...[...Deno.readDirSync(".")].map((it) => it.name));`;
  const shell = 'mount -t tmpfs -o size=64k none "$0" && cd "$0" && exec "$1" eval "$2"';
  const command = ["unshare", "-m", "sh", "-c", shell, folder.path, Deno.execPath(), program];
  assert.equal(await outputOf(command), "3 a\n");
});
