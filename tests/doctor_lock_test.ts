import assert from "node:assert/strict";
import { describeHolder, readHolder } from "../doctor/holder.ts";
import { withFlag } from "./doctor_fault.ts";
import { examineHost, lockText, withPatient } from "./doctor_setup.ts";
import { TemporaryFolder } from "./temporary_folder.ts";

/** The number of a process that has ended. */
async function endedProcess(): Promise<number> {
  const child = new Deno.Command("true").spawn();
  await child.status;
  return child.pid;
}

Deno.test("doctor tells that a loop's process is there, and does not say so twice", () =>
  withPatient(async (setup) => {
    const { state, saw } = (await examineHost(setup)).of("lock");
    const since = `process ${Deno.pid} since 2026-11-22T18:00:00.000Z`;
    const told = `${setup.path}/agent.lock names ${since}, and there is such a process`;
    assert.deepEqual({ state, saw }, { state: "ok", saw: told });
  }));

Deno.test("doctor takes no process that has ended for a loop or for an apply", () =>
  withPatient(async (setup) => {
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
      saw: `${setup.path}/agent.lock ${was}, which has ended; ` +
        `${setup.path}/apply.lock ${was}, which has ended`,
      mend: null,
    });
    assert.equal(report.of("other-agents").state, "ok");
    assert.match(report.of("api").saw, /^no loop runs/);
    assert.match(report.of("service").saw, /is installed, but not active/);
  }));

Deno.test({
  name: "readHolder() does not say whether a process is there that it may not see",
  permissions: { read: true, write: true, sys: false },
  async fn() {
    using folder = new TemporaryFolder();
    const path = `${folder.path}/agent.lock`;
    await Deno.writeTextFile(path, lockText);
    const holder = await readHolder(path);
    assert.equal(holder?.isThere, null);
    assert.match(describeHolder(holder, path), /; whether that one still runs, the agent is not/);
  },
});
