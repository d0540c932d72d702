import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { ApplyError } from "../apply/apply_error.ts";
import { HistoryFile } from "../apply/other_topology.ts";
import { TopologyStore } from "../store/topology_store.ts";
import { type AgentSetup, topologyId } from "../tests/support/agent_setup.ts";
import { flagsOf } from "../tests/support/command_line.ts";
import {
  applyAgain,
  examineHost,
  type HostOptions,
  lockText,
  service,
  testFaults,
  unitFile,
  withContext,
  withFlag,
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

const disk = "mount -t tmpfs -o size=20m none $T && mkdir -m 700 $T/state";
const forget = "the applied topology is lost when the agent stops, and apply by hand fails";

const cases: [name: string, script: string, said: RegExp | string][] = [
  ["room enough", disk, /^ok: T\/state: owner root/],
  [
    "a disk that is nearly full",
    `${disk} && head -c 5000000 /dev/zero > $T/big`,
    /^warning: only 15 MiB are free on the file system of T\/state: an apply may fail; T\/state: .* → see what uses the space: du -xmd 3 /,
  ],
  [
    "a full disk on which the folder is yet to be made",
    `${disk} && rmdir $T/state && (head -c 21000000 /dev/zero > $T/big || true) 2>/dev/null`,
    /^warning: only 0 MiB are free on the file system of T: .* → see what uses the space: du -xmd 3 /,
  ],
  [
    "a disk on which no file can be made",
    "mount -t tmpfs -o nr_inodes=2 none $T && mkdir $T/state",
    /^warning: no files can be made on the file system of T\/state; .* → see what uses the space: du --inodes -xd 3 /,
  ],
  [
    "a folder on a disk that is read-only",
    `${disk} && mount -o remount,ro $T`,
    new RegExp(
      `^warning: the file system of T/state is read-only: ${forget}; T/state: .* → make it writable: mount`,
    ),
  ],
  [
    "a folder that cannot be made, as the disk is read-only",
    `${disk} && rmdir $T/state && mount -o remount,ro $T`,
    "failed: T/state does not exist, and the file system of T is read-only → " +
    'make it writable: mount -o remount,rw "$(findmnt -n -o TARGET -T T)"',
  ],
];

for (const [name, script, said] of cases) {
  mounts.test(`doctor reports ${name}`, async () => {
    const text = await lookAfter(script);
    if (typeof said === "string") assert.equal(text, said);
    else assert.match(text, said);
  });
}

const active = "/run/systemd/units/invocation:decnet-agent.service";
const minute = 60_000;

/** A host whose metrics, so old, are in a folder of the service's user, and whose agent runs for an hour. */
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

Deno.test("doctor accepts new metrics, and old ones without an agent", () =>
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
    assert.match(details, /a\.prom was written at 1970-01-01T00:00:01Z; no agent is running/);
  }));

/** Runs the doctor, what it names to fix the store, and the doctor again. */
const script = `mount --bind $S $S && mount -o remount,ro,bind $S $S
$DOCTOR | tee $S.first; sh -c "$(sed -n '/^store /,/→/ s/.*→ [^:]*: //p' $S.first)"; $DOCTOR`;

mounts.test("doctor fixes a store on a read-only file system", async () => {
  using folder = new TemporaryFolder();
  const S = `${folder.path}/state`;
  await Deno.mkdir(S, { mode: 0o700 });
  TopologyStore.open(`${S}/topology.db`).close();
  const main = new URL("../main.ts", import.meta.url).pathname;
  const { stdout, stderr } = await new Deno.Command("unshare", {
    args: ["--mount", "sh", "-c", script],
    env: {
      S,
      NO_COLOR: "1",
      DOCTOR: `${Deno.execPath()} run -A ${main} doctor --state-dir=${S}`,
    },
  }).output();
  const text = new TextDecoder().decode(stdout);
  const [before, after] = [...text.matchAll(/^store +(\w+)/gm)].map(([, state]) => state);
  assert.equal(before, "warning", text + new TextDecoder().decode(stderr));
  assert.ok(
    text.includes(
      `→ make it writable: mount -o remount,rw "$(findmnt -n -o TARGET -T ${S})"`,
    ),
    text,
  );
  assert.equal(after, "ok", text);
});

const refusalFixes = {
  "conflict":
    "tear the stored topology down for this host, at the master or, where its apply has " +
    "failed, here; or set supersede = true (in section [agent] of /etc/decnet/decnet.ini), " +
    "then: systemctl reload decnet-agent",
  "loop": "at the master, tear down all but one topology for this host",
  "failed": "correct what the refusal names; the next push is applied then",
} as const;

testFaults(
  Object.entries(refusalFixes).map(([code, fix]) => ({
    name: `a push that was refused: ${code}`,
    plant: (setup) => {
      setup.apply();
      const error = new ApplyError(code as keyof typeof refusalFixes, "no room for B");
      new HistoryFile(setup.storePath).recordRefused(topologyId, "B", error);
    },
    finding: "store: warning",
    details: /^a push was refused: .*no room for B; .*\/topology\.db: topology 11111111-/,
    fix,
  })),
);

testFaults([
  {
    name: "a folder for the metrics that does not exist",
    plant: (setup) => ({ flags: [...flagsOf(setup), `--textfile=${setup.path}/none/a.prom`] }),
    finding: "textfile: warning",
    details: /\/none, where the metrics go, is no folder that user root can enter/,
    fix: "create PATH/none with mode 0755, owned by root",
  },
  {
    name: "a folder for the metrics that the agent cannot write to",
    plant: async (setup) => {
      const options = await plant(setup, { uid: service });
      await Deno.chown(`${setup.path}/metrics`, 0, 0);
      return options;
    },
    finding: "textfile: warning",
    details: /user decnet-agent cannot write to .*\/metrics, where the metrics go/,
    fix: "let user decnet-agent write to PATH/metrics (chown, chmod or setfacl)",
    code: 3,
  },
  {
    name: "old metrics beside a running agent",
    plant: (setup) => plant(setup, { ageMs: 40 * minute }),
    finding: "textfile: warning",
    details:
      /a\.prom was written at .*, although an agent has been running since .*: its log says why/,
    fix: "reload the configuration: systemctl reload decnet-agent",
  },
  {
    name: "metrics that an agent without a service never wrote",
    plant: (setup) => plant(setup, { files: { [unitFile]: null, [active]: null } }),
    finding: "textfile: warning",
    details: /a\.prom does not exist, although an agent has been running since/,
    fix: "send SIGHUP to that process",
  },
  {
    name: "a damaged store",
    plant: ({ storePath }) => Deno.writeTextFile(storePath, "no database, ".repeat(100)),
    finding: "store: failed",
    details: /Cannot read the store .*topology\.db: file is not a database/,
    fix: "move it away: mv PATH/topology.db PATH/topology.db.old",
  },
  {
    name: "a store of the first agent that was not copied",
    plant: async (setup) => {
      await Deno.mkdir(`${setup.path}/state`, { mode: 0o700 });
      return { flags: withFlag(setup, "state-dir", `${setup.path}/state`) };
    },
    finding: "store: warning",
    details: /state\/topology\.db does not exist, but the first agent has left .*\/topology\.db/,
    fix: "copy it: install -o root -m 0600 PATH/topology.db PATH/state/topology.db",
  },
  {
    name: "a link in the store's place",
    plant: async ({ storePath }) => {
      await Deno.rename(storePath, `${storePath}.real`);
      await Deno.symlink(`${storePath}.real`, storePath);
    },
    finding: "store: failed",
    details: /Cannot read the store .*topology\.db: it is not a regular file/,
    fix: "move it away: mv PATH/topology.db PATH/topology.db.old",
  },
  {
    name: "a store that was set aside",
    plant: ({ storePath }) => Deno.writeTextFile(`${storePath}.corrupt-20261122T190501Z`, ""),
    finding: "store: warning",
    details: /the store was damaged and is kept as/,
    fix: "keep these files until the cause is known, then delete them",
  },
  {
    name: "a recorded error",
    plant: (setup) =>
      setup.changeStore((store) =>
        store.recordError("11111111-2222-3333-4444-555555555555", "no space")
      ),
    finding: "store: warning",
    details: /the last apply or teardown failed: no space/,
    fix: applyAgain.replace("again:", "again, unless a teardown of it has failed:"),
  },
  {
    name: "a store that others may read",
    plant: ({ storePath }) => Deno.chmod(storePath, 0o644),
    finding: "store: warning",
    details: /others may read it/,
    fix: "allow only its owner: chmod go= PATH/topology.db",
  },
  {
    name: "a store of another user",
    plant: () => ({ files: { [unitFile]: "[Service]\nUser=decnet-agent\n" } }),
    finding: "store: warning",
    details: /it belongs to root, and not to decnet-agent/,
    fix: "make decnet-agent the owner of PATH and of everything in it (chown -R)",
    code: 3,
  },
  {
    name: "a crash that left half a change",
    plant: ({ storePath }) => Deno.writeTextFile(`${storePath}-journal`, "x"),
    finding: "store: warning",
    details: /topology\.db-journal belongs to a change that a crash interrupted/,
    fix: "let the agent undo the change: /usr/local/bin/decnet-agent state FLAGS",
  },
  {
    name: "a store in WAL mode",
    plant: ({ storePath }) => {
      using database = new DatabaseSync(storePath);
      database.exec("PRAGMA journal_mode = WAL");
    },
    finding: "store: warning",
    details: /the file is in WAL mode/,
    fix: "leave WAL mode: sqlite3 PATH/topology.db 'PRAGMA journal_mode = DELETE'",
  },
  {
    name: "a state folder that the agent cannot write to",
    plant: async ({ path, engine }) => {
      await Deno.chmod(path, 0o755);
      await Deno.chmod(engine.socketPath, 0o666);
      return { uid: service };
    },
    finding: "state-dir: warning",
    details: /owner root, group root, mode 0755; user decnet-agent cannot write to it/,
    fix: "make decnet-agent the owner of PATH and of everything in it (chown -R)",
    code: 3,
  },
  {
    name: "a state folder that is absent and cannot be made",
    plant: async (setup) => {
      await Deno.chmod(setup.path, 0o755);
      await Deno.chmod(setup.engine.socketPath, 0o666);
      return { uid: service, flags: withFlag(setup, "state-dir", `${setup.path}/none`) };
    },
    finding: "state-dir: failed",
    details: /none does not exist, and user decnet-agent cannot create it/,
    fix: "create PATH/none with mode 0700, owned by decnet-agent",
  },
]);
