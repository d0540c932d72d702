import assert from "node:assert/strict";
import { TemporaryFolder } from "../tests/support/environment.ts";
import { programOf, readUnit } from "./unit.ts";

Deno.test("readUnit() reads drop-ins by name, each from the first folder", async () => {
  using folder = new TemporaryFolder();
  const write = async (path: string, text: string) => {
    await Deno.mkdir(`${folder.path}${path.replace(/\/[^/]*$/, "")}`, { recursive: true });
    await Deno.writeTextFile(`${folder.path}${path}`, text);
  };
  await write(
    "/usr/lib/systemd/system/a.service",
    "User=base\nGroups=one\nGroups = two\n#User=x\n",
  );
  await write("/run/systemd/system/a.service.d/10.conf", "User=ten\nGroups=\nGroups=three\n");
  await write("/etc/systemd/system/a.service.d/20.conf", "User=twenty\n");
  await write("/usr/lib/systemd/system/a.service.d/20.conf", "User=hidden\n");
  await write("/etc/systemd/system/a.service.d/30.conf.old", "User=old\n");
  const unit = readUnit(folder.path, "a.service");
  assert.equal(unit?.path, `${folder.path}/usr/lib/systemd/system/a.service`);
  assert.equal(unit.last("User")?.value, "twenty");
  assert.equal(unit.last("User")?.file, `${folder.path}/etc/systemd/system/a.service.d/20.conf`);
  assert.deepEqual(unit.all("Groups").map(({ value }) => value), ["three"]);
  assert.equal(unit.last("Absent"), null);
  assert.equal(readUnit(folder.path, "b.service"), null);
});

Deno.test("programOf() reads a command line of a unit, as far as it can be known", () => {
  const cases: [command: string, path: string | null][] = [
    ["/usr/bin/a --once", "/usr/bin/a"],
    ["-@/usr/bin/a b", "/usr/bin/a"],
    [':"/opt/a b/$c" --once', "/opt/a b/$c"],
    ["/opt/50%%/a", "/opt/50%/a"],
    ["/opt/%n/a", null],
    ["/opt/%%%n", null],
    ["decnet-agent --once", null],
    ["", null],
  ];
  for (const [command, path] of cases) assert.equal(programOf(command), path, command);
});
