import assert from "node:assert/strict";
import { confinement, hidingFolder } from "./confinement.ts";

Deno.test("hidingFolder() tells from where a confined service cannot run", () => {
  const cases: [path: string, folder: string | null][] = [
    ["/usr/local/bin/decnet-agent", null],
    ["/opt/home/decnet-agent", null],
    ["/homeland/decnet-agent", null],
    ["/var/lib/decnet-agent/decnet-agent", null],
    ["/root/decnet-agent", "/root"],
    ["/home/a/bin/decnet-agent", "/home"],
    ["/tmp/decnet-agent", "/tmp"],
    ["/var/tmp/x/decnet-agent", "/var/tmp"],
    ["/srv/decnet-agent", "/srv"],
    ["/dev/shm/decnet-agent", "/dev"],
    ["/var/lib/docker/decnet-agent", "/var/lib/docker"],
  ];
  for (const [path, folder] of cases) assert.equal(hidingFolder(path), folder, path);
});

Deno.test("confinement() lets its own executable run, and otherwise depends on nothing", () => {
  const one = confinement("/usr/local/bin/decnet-agent").split("\n");
  const other = confinement("/opt/a b/100%").split("\n");
  const differing = other.filter((line, index) => line !== one[index]);
  assert.deepEqual(differing, ['ExecPaths="/opt/a b/100%%" -/usr/lib -/usr/lib64']);
  assert.equal(one.length, other.length);
});
