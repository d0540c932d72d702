import assert from "node:assert/strict";
import type { AgentSetup } from "../tests/support/agent_setup.ts";
import { flagsOf } from "../tests/support/command_line.ts";
import {
  examineHost,
  type HostOptions,
  lockText,
  service,
  testFaults,
  unitFile,
  withContext,
} from "../tests/support/doctor_setup.ts";
import { TemporaryFolder } from "../tests/support/environment.ts";
import { requirement, works } from "../tests/support/requirements.ts";

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
  const { state, details, fix = "" } = checks.find(({ name }) => name === "state-dir")!;
  return `${state}: ${details} → ${fix}`.replaceAll(T, "T");
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

const active = "/run/systemd/units/invocation:decnet-agent.service";
const strict = { [unitFile]: "[Service]\nProtectSystem=strict\nStateDirectory=decnet-agent\n" };
const minute = 60_000;

/** A host whose metrics, so old, are in a folder of the service's user, and whose loop is old. */
async function plant(
  setup: AgentSetup,
  { ageMs, ...others }: HostOptions & { ageMs?: number } = {},
): Promise<HostOptions & { readonly flags: string[] }> {
  const { path, engine } = setup;
  const file = `${path}/metrics/a.prom`;
  await Deno.mkdir(`${path}/metrics`);
  await Deno.chown(`${path}/metrics`, service, service);
  await Deno.chmod(path, 0o755);
  await Deno.chmod(engine.socketPath, 0o666);
  if (ageMs !== undefined) {
    await Deno.writeTextFile(file, "");
    const time = new Date(Date.now() - ageMs);
    await Deno.utime(file, time, time);
  }
  const since = new Date(Date.now() - 60 * minute).toISOString();
  await Deno.writeTextFile(`${path}/agent.lock`, lockText.replace(/2026\S+/, since));
  return { ...others, flags: [...flagsOf(setup), `--textfile=${file}`] };
}

testFaults([
  {
    name: "a folder for the metrics that does not exist",
    plant: (setup) => ({ flags: [...flagsOf(setup), `--textfile=${setup.path}/none/a.prom`] }),
    check: "textfile",
    state: "warning",
    details: /the folder of the metrics, .*\/none, does not exist/,
    fix: ({ path }) => `install -d -o root -m 755 ${path}/none`,
    code: 1,
  },
  {
    name: "a folder for the metrics that the agent may not write to",
    plant: async (setup) => {
      const options = await plant(setup, { uid: service });
      await Deno.chown(`${setup.path}/metrics`, 0, 0);
      return options;
    },
    check: "textfile",
    state: "warning",
    details: /user decnet-agent may not write to .*\/metrics, where the metrics go/,
    fix: ({ path }) => `setfacl -m u:decnet-agent:rwx ${path}/metrics`,
    code: 3,
  },
  {
    name: "a file in place of the folder for the metrics",
    plant: (setup) => ({ flags: [...flagsOf(setup), `--textfile=${setup.path}/ca.crt/a.prom`] }),
    check: "textfile",
    state: "warning",
    details: /ca\.crt, where the metrics go, is no folder/,
    fix: ({ path }) => `mv ${path}/ca.crt ${path}/ca.crt.old`,
    code: 1,
  },
  {
    name: "metrics that grow old beside a loop",
    plant: (setup) => plant(setup, { ageMs: 40 * minute }),
    check: "textfile",
    state: "warning",
    details:
      /a\.prom was written at .*, although a loop has run since .*; it may have read no textfile/,
    fix: () => "systemctl reload decnet-agent",
    code: 1,
  },
  {
    name: "metrics that a loop of no service never wrote",
    plant: (setup) => plant(setup, { files: { [unitFile]: null, [active]: null } }),
    check: "textfile",
    state: "warning",
    details: /a\.prom does not exist, although a loop has run since/,
    fix: ({ path }) => `fuser -k -HUP ${path}/agent.lock`,
    code: 1,
  },
  {
    name: "a unit that keeps the loop from writing metrics",
    plant: (setup) => plant(setup, { files: strict }),
    check: "textfile",
    state: "warning",
    details: /; the unit lets it write to no such folder/,
    fix: ({ path }) => {
      const folder = "/etc/systemd/system/decnet-agent.service.d";
      return `mkdir -p ${folder} && printf '[Service]\\nReadWritePaths=${path}/metrics\\n' > ` +
        `${folder}/textfile.conf && systemctl daemon-reload && systemctl restart decnet-agent`;
    },
    code: 1,
  },
]);

Deno.test("doctor knows the drop-in by which a unit lets the loop write metrics", () =>
  withContext(async (setup) => {
    const dropIn = `${unitFile}.d/metrics.conf`;
    const text = `[Service]\nReadWritePaths=-/other ${setup.path}/\n`;
    const options = await plant(setup, { files: { ...strict, [dropIn]: text } });
    const { fix } = (await examineHost(setup, options)).of("textfile");
    assert.equal(fix, "systemctl reload decnet-agent");
  }));

Deno.test("doctor finds nothing wrong with metrics that are young, or where no loop runs", () =>
  withContext(async (setup) => {
    const options = await plant(setup, { ageMs: 5 * minute, uid: service });
    assert.equal((await examineHost(setup, options)).of("textfile").state, "ok");
    // An access list shows in the bits of the group.
    await Deno.chown(`${setup.path}/metrics`, 0, 0);
    await Deno.chmod(`${setup.path}/metrics`, 0o775);
    assert.equal((await examineHost(setup, options)).of("textfile").state, "ok");
    const slow = { ...options, flags: [...options.flags, "--interval=1h"] };
    await Deno.utime(`${setup.path}/metrics/a.prom`, 1, 1);
    assert.equal((await examineHost(setup, slow)).of("textfile").state, "ok");
    await Deno.remove(`${setup.path}/agent.lock`);
    const { state, details } = (await examineHost(setup, options)).of("textfile");
    assert.equal(state, "ok", details);
    assert.match(details, /a\.prom was written at 1970-01-01T00:00:01Z; no loop runs/);
  }));
