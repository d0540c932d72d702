import assert from "node:assert/strict";
import { works } from "./binary/works.ts";
import { requirement } from "./requirements.ts";
import { TemporaryFolder } from "./temporary_folder.ts";

const mounts = requirement(
  "unshare and the right to mount",
  await works("unshare", "--mount", "findmnt", "-T", "/"),
);

/** What the doctor says of a state folder, beside which other mounts are made before. */
async function lookAfter(script: string): Promise<string> {
  using temporary = new TemporaryFolder();
  await Deno.chmod(temporary.path, 0o755);
  const main = new URL("../main.ts", import.meta.url).pathname;
  const T = `${temporary.path}/mounted`;
  await Deno.mkdir(T);
  const doctor = `${Deno.execPath()} run -q --no-prompt -P=agent ${main} doctor --json ` +
    `--state-dir=${T}/state`;
  const { stdout, stderr } = await new Deno.Command("unshare", {
    args: ["--mount", "sh", "-c", `set -e; ${script}; ${doctor} || true`],
    cwd: new URL("../", import.meta.url),
    env: { T, NO_COLOR: "1" },
  }).output();
  const text = new TextDecoder().decode(stdout);
  assert.ok(text.startsWith("{"), text + new TextDecoder().decode(stderr));
  const { checks } = JSON.parse(text) as { checks: Record<string, string>[] };
  const { state, saw, mend = "" } = checks.find(({ name }) => name === "state-dir")!;
  return `${state}: ${saw} → ${mend}`.replaceAll(T, "T");
}

const full = "mount -t tmpfs -o size=20m none $T && mkdir -m 700 $T/state";
const forget = "what is applied is forgotten with the agent, and no apply by hand works";

const cases: [name: string, script: string, said: RegExp | string][] = [
  ["room enough", full, /^ok: T\/state: owner root/],
  [
    "a disk that is nearly full",
    `${full} && head -c 5000000 /dev/zero > $T/big`,
    /^warning: only 15 MiB are free on the file system of T\/state: an apply may fail; T\/state: .* → du -xmd 3 /,
  ],
  [
    "a full disk",
    `${full} && (head -c 21000000 /dev/zero > $T/big || true) 2>/dev/null`,
    /^warning: only 0 MiB are free .* → du -xmd 3 "\$\(findmnt -n -o TARGET -T T\/state\)" \| sort -n/,
  ],
  [
    "a full disk and a folder that is open to all",
    `${full} && chmod 777 $T/state && (head -c 21000000 /dev/zero > $T/big || true) 2>/dev/null`,
    /^warning: only 0 MiB are free .*every user of this host may replace what is in it → du -xmd 3 /,
  ],
  [
    "a full disk on which the folder is yet to be made",
    `${full} && rmdir $T/state && (head -c 21000000 /dev/zero > $T/big || true) 2>/dev/null`,
    /^warning: only 0 MiB are free on the file system of T: .* → du -xmd 3 /,
  ],
  [
    "a disk on which no file can be made",
    "mount -t tmpfs -o nr_inodes=2 none $T && mkdir $T/state",
    /^warning: no files can be made on the file system of T\/state; .* → du --inodes -xd 3 /,
  ],
  [
    "a folder on a disk that is read-only",
    `${full} && mount -o remount,ro $T`,
    new RegExp(`^warning: the file system of T/state is read-only: ${forget}; T/state: .* → mount`),
  ],
  [
    "a folder that cannot be made, as the disk is read-only",
    `${full} && rmdir $T/state && mount -o remount,ro $T`,
    "failed: T/state does not exist, and the file system of T is read-only → " +
    'mount -o remount,rw "$(findmnt -n -o TARGET -T T)"',
  ],
];

for (const [name, script, said] of cases) {
  Deno.test({
    name: `doctor tells of ${name}, with its permissions${mounts.suffix}`,
    ignore: mounts.ignore,
    async fn() {
      mounts.check();
      const text = await lookAfter(script);
      if (typeof said === "string") assert.equal(text, said);
      else assert.match(text, said);
    },
  });
}
