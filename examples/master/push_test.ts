import assert from "node:assert/strict";
import { document, topologyId, versionHash } from "../../tests/support/agent_setup.ts";
import { ApiSetup } from "../../tests/support/api_setup.ts";
import { type ExampleMaster, identity, withExample } from "../../tests/support/example_master.ts";
import { parseJson, writeJson } from "../../topology/json.ts";
import { push } from "./master.ts";

/** Where the API is, and what is to run there. */
function expectationOf(api: ApiSetup) {
  return { agent: `127.0.0.1:${api.port}`, topologyId, versionHash, document };
}

/** Waits until the last push has come to this. */
async function pushed(master: ExampleMaster, pattern: RegExp): Promise<void> {
  const limit = AbortSignal.timeout(10_000);
  while (!pattern.test(master.hosts.all()[0]!.pushed)) {
    limit.throwIfAborted();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Makes the API's certificate the one that is pinned, for pushes as for heartbeats. */
async function pin(master: ExampleMaster, api: ApiSetup, folder: string): Promise<void> {
  const { certificate, key } = api.loaded.certificates;
  await Deno.writeTextFile(`${folder}/worker.crt`, certificate);
  await Deno.writeTextFile(`${folder}/worker.key`, key);
  master.hosts.enrol("host-1", certificate);
}

Deno.test("the example master pushes after a heartbeat that differs, once each", async () => {
  await using api = await ApiSetup.start();
  await withExample(async (master, setup, heartbeat) => {
    await pin(master, api, setup.path);
    await heartbeat();
    assert.deepEqual(api.service.calls, []);
    api.service.onCall = () => Promise.reject(new Error("no such image"));
    master.hosts.set("host-1", expectationOf(api));
    await heartbeat();
    await pushed(master, /^refused with 500: \{"detail":/);
    const call = `apply ${writeJson(parseJson(document))} ${versionHash}`;
    assert.deepEqual(api.service.calls, [call]);
    await heartbeat();
    setup.apply();
    await heartbeat();
    assert.equal(api.service.calls.length, 1);
    assert.match(await master.page(), /1 consistent/);
  });
  await withExample(async (master, setup, heartbeat) => {
    await pin(master, api, setup.path);
    api.service.onCall = () => {};
    master.hosts.set("host-1", expectationOf(api));
    await heartbeat();
    await pushed(master, /^applied$/);
    await new Promise((resolve) => setTimeout(resolve, 2));
    await heartbeat();
    while (api.service.calls.length < 3) await new Promise((resolve) => setTimeout(resolve, 20));
    assert.match(master.log.join(), /^pushed to lab-1: "applied"/);
  }, { intervalMs: 1 });
});

Deno.test("push() gives the document to nobody but the certificate that is pinned", async () => {
  await using api = await ApiSetup.start();
  await withExample(async (master, setup) => {
    master.hosts.set("host-1", expectationOf(api));
    assert.equal(
      await push(master.hosts.all()[0]!, identity),
      "failed: another host answers there",
    );
    assert.deepEqual(api.service.calls, []);
    await pin(master, api, setup.path);
    assert.equal(await push(master.hosts.all()[0]!, identity), "applied");
    const { ca } = identity;
    const { certificate: cert, key } = api.loaded.certificates;
    assert.match(await push(master.hosts.all()[0]!, { ca, cert, key }), /^refused with 403: /);
    await api.stop();
    assert.match(await push(master.hosts.all()[0]!, identity), /^failed: /);
  });
});
