import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import {
  applyAgain,
  examineHost,
  lineOf,
  lockText,
  service,
  testFaults,
  unitFile,
  withContext,
  withFlag,
} from "../tests/support/doctor_setup.ts";
import { TemporaryFolder } from "../tests/support/environment.ts";
import { describeOwner, readLockOwner } from "./probes.ts";

testFaults([
  {
    name: "a damaged store",
    plant: ({ storePath }) => Deno.writeTextFile(storePath, "no database, ".repeat(100)),
    check: "store",
    state: "failed",
    details: /Cannot read the store .*topology\.db: file is not a database/,
    fix: ({ storePath }) => `mv ${storePath} ${storePath}.damaged`,
    code: 3,
  },
  {
    name: "a store that was set aside",
    plant: ({ storePath }) => Deno.writeTextFile(`${storePath}.corrupt-20261122T190501Z`, ""),
    check: "store",
    state: "warning",
    details: /the store was damaged and is set aside as/,
    fix: ({ storePath }) => `rm ${storePath}.corrupt-20261122T190501Z`,
    code: 1,
  },
  {
    name: "a recorded error",
    plant: (setup) =>
      setup.changeStore((store) =>
        store.recordError("11111111-2222-3333-4444-555555555555", "no space")
      ),
    check: "store",
    state: "warning",
    details: /the last apply or teardown failed: no space/,
    fix: applyAgain,
    code: 1,
  },
  {
    name: "a store that others may read",
    plant: ({ storePath }) => Deno.chmod(storePath, 0o644),
    check: "store",
    state: "warning",
    details: /others may read it/,
    fix: ({ storePath }) => `chmod go= ${storePath}`,
    code: 1,
  },
  {
    name: "a store of another user",
    plant: () => ({ files: { [unitFile]: "[Service]\nUser=decnet-agent\n" } }),
    check: "store",
    state: "warning",
    details: /it belongs to root, and not to decnet-agent/,
    fix: ({ path }) => `chown -R decnet-agent: ${path}`,
    code: 3,
  },
  {
    name: "a crash that left half a change",
    plant: ({ storePath }) => Deno.writeTextFile(`${storePath}-journal`, "x"),
    check: "store",
    state: "warning",
    details: /topology\.db-journal is what a crash left of a change/,
    fix: (setup) => lineOf(setup, "state"),
    code: 1,
  },
  {
    name: "a store in WAL mode",
    plant: ({ storePath }) => {
      using database = new DatabaseSync(storePath);
      database.exec("PRAGMA journal_mode = WAL");
    },
    check: "store",
    state: "warning",
    details: /the file is in WAL mode/,
    fix: ({ storePath }) => `sqlite3 ${storePath} 'PRAGMA journal_mode = DELETE'`,
    code: 1,
  },
  {
    name: "a state folder that the agent may not write to",
    plant: async ({ path, engine }) => {
      await Deno.chmod(path, 0o755);
      await Deno.chmod(engine.socketPath, 0o666);
      return { uid: service };
    },
    check: "state-dir",
    state: "warning",
    details: /owner root, group root, mode 0755; user decnet-agent may not write in it/,
    fix: ({ path }) => `chown -R decnet-agent: ${path}`,
    code: 3,
  },
  {
    name: "a state folder that is absent and cannot be made",
    plant: async (setup) => {
      await Deno.chmod(setup.path, 0o755);
      await Deno.chmod(setup.engine.socketPath, 0o666);
      return { uid: service, flags: withFlag(setup, "state-dir", `${setup.path}/none`) };
    },
    check: "state-dir",
    state: "failed",
    details: /none does not exist, and user decnet-agent may not make it/,
    fix: ({ path }) => `install -d -o decnet-agent -m 700 ${path}/none`,
    code: 3,
  },
]);

/** The number of a process that has ended. */
async function endedProcess(): Promise<number> {
  const child = new Deno.Command("true").spawn();
  await child.status;
  return child.pid;
}

Deno.test("doctor tells that a loop's process is there, and does not say so twice", () =>
  withContext(async (setup) => {
    const { state, details } = (await examineHost(setup)).of("lock");
    const since = `process ${Deno.pid} since 2026-11-22T18:00:00.000Z`;
    const told = `${setup.path}/agent.lock names ${since}, and there is such a process`;
    assert.deepEqual({ state, details }, { state: "ok", details: told });
  }));

Deno.test("doctor takes no process that has ended for a loop or for an apply", () =>
  withContext(async (setup) => {
    const pid = await endedProcess();
    const ended = lockText.replace(String(Deno.pid), String(pid));
    await Deno.mkdir(`${setup.path}/other`);
    for (const name of ["agent.lock", "apply.lock", "other/agent.lock"]) {
      await Deno.writeTextFile(`${setup.path}/${name}`, ended);
    }
    const report = await examineHost(setup, {
      flags: withFlag(setup, "listen", "127.0.0.1:1"),
      files: { "/run/systemd/units/invocation:decnet-agent.service": null },
      otherStateDirectories: [`${setup.path}/other`],
    });
    const was = `was held by process ${pid} since 2026-11-22T18:00:00.000Z`;
    assert.deepEqual(report.of("lock"), {
      state: "ok",
      details: `${setup.path}/agent.lock ${was}, which has ended; ` +
        `${setup.path}/apply.lock ${was}, which has ended`,
      fix: null,
    });
    assert.equal(report.of("other-agents").state, "ok");
    assert.match(report.of("api").details, /^no loop runs/);
    assert.match(report.of("service").details, /is installed, but not active/);
  }));

Deno.test({
  name: "readHolder() does not say whether a process is there that it may not see",
  permissions: { read: true, write: true, sys: false },
  async fn() {
    using folder = new TemporaryFolder();
    const path = `${folder.path}/agent.lock`;
    await Deno.writeTextFile(path, lockText);
    const holder = await readLockOwner(path);
    assert.equal(holder?.isThere, null);
    assert.match(describeOwner(holder, path), /; whether that one still runs, the agent is not/);
  },
});
