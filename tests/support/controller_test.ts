import assert from "node:assert/strict";
import { document, topologyId, versionHash } from "./agent_setup.ts";
import { ApiSetup } from "./api_setup.ts";
import { Controller } from "./controller.ts";
import { until } from "./environment.ts";
import { authority, certificatesOf, TestClient } from "./master_setup.ts";

const uuid = "host-1";
const pushEveryMs = 10;

Deno.test("Controller pushes what it has flagged until 200, with the flag in it", async () => {
  await using api = await ApiSetup.start();
  const certificates = { ...await certificatesOf(uuid), ...api.loaded.certificates };
  const host = {
    uuid,
    certificate: certificates.certificate,
    address: "127.0.0.1",
    port: api.port,
  };
  await using controller = await Controller.start({ authority, host, pushEveryMs });
  using client = await TestClient.to(controller.master, { name: "swarmctl" });
  /** Sends a heartbeat that says what is applied. */
  const post = async (topology_id: string | null, applied_version_hash: string | null) => {
    const body = JSON.stringify({
      host_uuid: uuid,
      topology: { topology_id, applied_version_hash },
    });
    assert.equal((await client.post({ body, certificates })).status, 204);
  };
  const { calls } = controller;
  const statuses = () => calls.map(({ status }) => status);
  api.service.onCall = () => Promise.reject(new Error("no such image"));
  assert.equal(await controller.deploy(topologyId, document), 500);
  await post(null, null);
  await until(() => calls.length >= 3);
  api.service.onCall = () => {};
  await until(() => calls.at(-1)?.status === 200);
  assert.ok(statuses().slice(0, -1).every((it) => it === 500), statuses().join());
  const [plain, ...flagged] = api.service.calls;
  assert.ok(plain!.includes('"needs_resync":false') && plain!.endsWith(versionHash), plain);
  for (const it of flagged) assert.match(it, /"needs_resync":true/);
  const hash = flagged[0]!.split(" ").at(-1)!;
  assert.notEqual(hash, versionHash);

  // The flag is gone from what it expects, so that the same is pushed once more.
  const { length } = calls;
  await post(topologyId, hash);
  await until(() => calls.length > length);
  assert.equal(api.service.calls.at(-1), flagged[0]);
  // The hash that it expects, and a topology that is no more: neither is pushed.
  await post(topologyId, versionHash);
  assert.equal(await controller.teardown(topologyId), 200);
  await post(topologyId, hash);
  await new Promise((resolve) => setTimeout(resolve, 10 * pushEveryMs));
  assert.deepEqual(calls.slice(length + 1), [
    { path: "/topology/teardown", topologyId, status: 200 },
  ]);
});
