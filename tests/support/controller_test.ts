import assert from "node:assert/strict";
import { document, topologyId, versionHash } from "./agent_setup.ts";
import { agentIdentity, ApiSetup } from "./api_setup.ts";
import { Controller } from "./controller.ts";
import { until } from "./environment.ts";
import { authority, certificatesOf, TestClient } from "./master_setup.ts";
import { TlsMaster } from "./tls_master.ts";

const uuid = "host-1";
const pushEveryMs = 10;

/** A heartbeat that says what is applied. */
function heartbeat(id: string | null, hash: string | null, host_uuid = uuid): string {
  return JSON.stringify({ host_uuid, topology: { topology_id: id, applied_version_hash: hash } });
}

/** Runs a test on a controller whose host's agent is an API that records its calls. */
async function withAgent(
  test: (
    controller: Controller,
    api: ApiSetup,
    post: (body: string, asAnother?: boolean) => Promise<number>,
  ) => Promise<void>,
): Promise<void> {
  await using api = await ApiSetup.start();
  const { certificates } = api.loaded;
  const host = {
    uuid,
    certificate: certificates.certificate,
    address: "127.0.0.1",
    port: api.port,
  };
  await using controller = await Controller.start({ authority, host, pushEveryMs });
  using client = await TestClient.to(controller.master, { name: "swarmctl" });
  const another = await certificatesOf("host-1");
  await test(controller, api, async (body, asAnother = false) => {
    const own = { ...another, ...certificates };
    return (await client.post({ body, certificates: asAnother ? another : own })).status;
  });
}

Deno.test("Controller accepts only the host that is enrolled, by its certificate", async () => {
  await withAgent(async (_controller, _api, post) => {
    assert.equal(await post(heartbeat(null, null)), 204);
    assert.equal(await post(heartbeat(null, null), true), 403);
    assert.equal(await post(heartbeat(null, null, "host-2")), 404);
  });
});

Deno.test("Controller pushes what it has flagged until 200, with the flag in it", async () => {
  await withAgent(async (controller, api, post) => {
    const { calls } = controller;
    const statuses = () => calls.map(({ status }) => status);
    api.service.onCall = () => Promise.reject(new Error("no such image"));
    assert.equal(await controller.deploy(topologyId, document), 500);
    await post(heartbeat(null, null));
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
    await post(heartbeat(topologyId, hash));
    await until(() => calls.length > length);
    assert.equal(api.service.calls.at(-1), flagged[0]);
    // The hash that it expects, and a topology that is no more: neither is pushed.
    await post(heartbeat(topologyId, versionHash));
    assert.equal(await controller.teardown(topologyId), 200);
    await post(heartbeat(topologyId, hash));
    await new Promise((resolve) => setTimeout(resolve, 10 * pushEveryMs));
    assert.deepEqual(calls.slice(length + 1), [
      { path: "/topology/teardown", topologyId, status: 200 },
    ]);
  });
});

Deno.test("Controller sends a teardown once, whatever the answer", async () => {
  await withAgent(async (controller, api) => {
    api.service.onCall = () => Promise.reject(new Error("Docker is down"));
    assert.equal(await controller.teardown(topologyId), 500);
    await new Promise((resolve) => setTimeout(resolve, 10 * pushEveryMs));
    assert.equal(api.service.calls.length, 1);
  });
});

Deno.test("Controller calls only after it has compared the certificate", async () => {
  const { certificate, key } = await agentIdentity("host-1");
  const issued = { certificatePem: certificate, keyPem: key, fingerprint: "" };
  await using agent = await TlsMaster.start({ authority, certificate: issued });
  const enrolled = { uuid, certificate, address: "127.0.0.1", port: agent.port };
  await using controller = await Controller.start({ authority, host: enrolled, pushEveryMs });
  assert.equal(await controller.teardown(topologyId), 404);
  assert.equal(agent.tcpConnectionCount, 2);

  const { certificate: other } = await agentIdentity("host-1");
  const host = { ...enrolled, certificate: other };
  await using deceived = await Controller.start({ authority, host, pushEveryMs });
  assert.equal(await deceived.teardown(topologyId), null);
  assert.equal(agent.tcpConnectionCount, 3);
});
