import assert from "node:assert/strict";
import type { Candidate } from "../apply/mod.ts";
import { parseJson, writeJson } from "../topology/mod.ts";
import { lost, strikeEach, type Struck, worstFaults } from "./apply_faults.ts";
import { type ApplyHost, candidateOf, oneLan, textOf, threeLans } from "./apply_host.ts";
import { call } from "./engine/calls.ts";

const id = threeLans.plan.topologyId;

/** The document of three LANs in a later version: hardly anything is as it was. */
const later: Candidate = await candidateOf(
  textOf("topology-three-lans.json").replaceAll("198.18.2.", "198.18.9.")
    .replace('"mysql"\n        ]', '"ssh"\n        ]').replaceAll('"mysql"', '"ssh"')
    .replaceAll("decky-004", "decky-005").replaceAll("198.18.0.3", "198.18.0.4"),
);

/** Sees that the refusal tells what went wrong, and that the store keeps it. */
function assertRecorded({ host, refusal, request }: Struck, versionHash: string, text: string) {
  assert.equal(refusal?.kind, "failed");
  const { message } = refusal!;
  const isRefused = message.includes("was answered with 500 (no)");
  assert.ok(isRefused || lost.test(message), message);
  assert.ok(request.method === "GET" || /^Cannot [a-z]+ (network|container) /.test(message));
  const row = host.row();
  assert.equal(row?.versionHash, versionHash);
  assert.equal(row?.lastError, message.slice(0, 500));
  assert.equal(row?.document, writeJson(parseJson(text)));
  assert.equal(row!.appliedAt === 0, versionHash === "");
}

/** Sees that a re-push touches nothing, and that a teardown leaves nothing. */
async function assertSettled(host: ApplyHost, candidate: Candidate): Promise<void> {
  await host.assertApplied(candidate);
  const before = host.engine.changes.length;
  assert.equal((await host.apply(candidate)).changes, 0);
  assert.deepEqual(host.changes(before), []);
  await host.teardown(candidate.plan.topologyId);
  host.assertNothingLeft();
}

Deno.test("Applier.apply() mends what a failed call has left, at each position", async () => {
  const count = await strikeEach({ run: (host) => host.apply(threeLans) }, async (struck) => {
    assertRecorded(struck, "", threeLans.text);
    struck.host.assertOthers();
    await struck.host.apply(threeLans);
    await assertSettled(struck.host, threeLans);
  });
  // Two lists and five images; three networks; nine containers, made and started; two more LANs; and
  // a second look.
  assert.equal(count, 2 + 5 + 3 + 2 * 9 + 2 + 2 + 5);
});

Deno.test("Applier.teardown() removes what a failed apply has left, at each position", async () => {
  const run = (host: ApplyHost) => host.apply(threeLans);
  await strikeEach({ run, ways: worstFaults }, async ({ host }) => {
    await host.teardown(id);
    host.assertNothingLeft();
  });
});

Deno.test("Applier.teardown() mends what a failed call has left, at each position", async () => {
  const count = await strikeEach({
    prepare: (host) => host.apply(threeLans),
    run: (host) => host.teardown(id),
  }, async (struck) => {
    assertRecorded(struck, threeLans.versionHash, threeLans.text);
    await struck.host.teardown(id);
    struck.host.assertNothingLeft();
  });
  assert.equal(count, 2 + 9 + 3 + 2);
});

Deno.test("Applier.apply() comes back to what a teardown has failed to remove", async () => {
  await strikeEach({
    prepare: (host) => host.apply(threeLans),
    run: (host) => host.teardown(id),
    ways: worstFaults,
  }, async ({ host }) => {
    await host.apply(threeLans);
    await assertSettled(host, threeLans);
  });
});

/** Applies the document of three LANs, and stops a base and pauses a service of it. */
async function applyAndBreak(host: ApplyHost): Promise<void> {
  await host.apply(threeLans);
  const { socketPath } = host.engine;
  const prefix = "/containers/decnet_t_7c9e6679_decky";
  assert.equal((await call(socketPath, "POST", `${prefix}-001/stop`)).status, 204);
  assert.equal((await call(socketPath, "POST", `${prefix}-002-http/pause`)).status, 204);
}

Deno.test("Applier.apply() of a later version mends what a failed call has left", async () => {
  let detours = 0;
  await strikeEach({
    prepare: applyAndBreak,
    run: (host) => host.apply(later),
  }, async (struck) => {
    const { host, refusal, request, fault } = struck;
    if (refusal === null) {
      // A container that is refused to be started is made anew.
      assert.equal(fault.kind, "status");
      assert.match(request.path, /\/(start|restart\?t=0)$/);
      detours++;
    } else {
      assertRecorded(struck, threeLans.versionHash, threeLans.text);
      await host.apply(later);
    }
    await assertSettled(host, later);
  });
  assert.equal(detours, 2, "the base, and its service");
});

Deno.test("Applier.teardown() removes what a failed apply of a later version has left", async () => {
  const run = (host: ApplyHost) => host.apply(later);
  await strikeEach({ prepare: applyAndBreak, run, ways: worstFaults }, async ({ host }) => {
    await host.teardown(id);
    host.assertNothingLeft();
  });
});

Deno.test("Applier.apply() in place of another topology mends what a failed call has left", async () => {
  const supersede = true;
  const { topologyId: oldId } = oneLan.plan;
  let [untouched, ofOld, ofNew] = [0, 0, 0];
  await strikeEach({
    prepare: (host) => host.apply(oneLan),
    run: (host) => host.apply(threeLans, { supersede }),
  }, async (struck) => {
    const { host } = struck;
    if (host.row()?.lastError === null) {
      // It was not touched yet, and is as well as before.
      untouched++;
      assert.equal(struck.refusal?.kind, "failed");
      assert.equal(struck.request.method, "GET");
      assert.equal(host.row()?.topologyId, oldId);
    } else if (host.row()?.topologyId === oldId) {
      // It is the teardown of the old one that has failed.
      ofOld++;
      assertRecorded(struck, oneLan.versionHash, oneLan.text);
    } else {
      ofNew++;
      assertRecorded(struck, "", threeLans.text);
    }
    if ((untouched + ofOld + ofNew) % 2 === 0) {
      for (const candidate of [oneLan, threeLans]) await host.teardown(candidate.plan.topologyId);
      return host.assertNothingLeft();
    }
    await host.apply(threeLans, { supersede });
    await assertSettled(host, threeLans);
  });
  assert.ok(untouched > 0 && ofOld > 0 && ofNew > 0);
});
