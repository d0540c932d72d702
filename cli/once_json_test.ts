import assert from "node:assert/strict";
import manifest from "../deno.json" with { type: "json" };
import { AgentSetup, topologyId, versionHash } from "../tests/agent_setup.ts";
import { flagsOf, runOn } from "../tests/command_line.ts";

Deno.test("--once --json answers the fields of the contract, and the certificates", async () => {
  await using setup = await AgentSetup.create();
  setup.apply();
  const { stdout } = await runOn(["--once", "--json", ...flagsOf(setup)]);
  const result = JSON.parse(stdout);
  const { checked_at: checkedAt, docker, master, certificates, ...rest } = result;
  assert.deepEqual(Object.keys(result), [
    ...["status", "exit_code", "summary", "agent_version", "host_uuid", "checked_at"],
    ...["topology", "drift", "store", "docker", "master", "certificates"],
  ]);
  const { topology } = setup.master.beats[0]!.body as { topology: { drift: unknown } };
  assert.deepEqual(rest, {
    status: "OK",
    exit_code: 0,
    summary:
      `topology ${topologyId} at ${versionHash.slice(0, 12)}, 1 network and 2 containers run, ` +
      "beat delivered",
    agent_version: manifest.version,
    host_uuid: "host-1",
    topology,
    drift: topology.drift,
    store: { path: setup.storePath, state: "ok" },
  });
  assert.equal(new Date(checkedAt).toISOString(), checkedAt);
  const { latency_ms: dockerMs, ...dockerRest } = docker;
  assert.deepEqual(dockerRest, {
    host: `unix://${setup.engine.socketPath}`,
    version: "20.10.24",
    api_version: "1.41",
  });
  const { latency_ms: masterMs, ...masterRest } = master;
  const url = `https://127.0.0.1:${setup.port}/swarm/heartbeat`;
  assert.deepEqual(masterRest, { url, result: "delivered", http_status: 204 });
  assert.ok(dockerMs > 0 && masterMs > 0);
  assert.equal(certificates.problem, null);
  assert.ok(Date.parse(certificates.expires_at) > Date.now());
});

Deno.test("--once --json tells each result of sending", async () => {
  await using setup = await AgentSetup.create();
  const masterOf = async (...flags: string[]) => {
    const { stdout } = await runOn(["--once", "--json", ...flags]);
    const { latency_ms: latencyMs, ...rest } = JSON.parse(stdout).master;
    return { ...rest, wasSent: latencyMs !== null };
  };
  const url = `https://127.0.0.1:${setup.port}/swarm/heartbeat`;
  const nothing = { http_status: null, wasSent: false };
  assert.deepEqual(await masterOf(...flagsOf(setup, { master: false })), {
    url: null,
    result: "not_configured",
    ...nothing,
  });
  assert.deepEqual(await masterOf("--dry-run", ...flagsOf(setup)), {
    url,
    result: "dry_run",
    ...nothing,
  });
  setup.master.answer = { status: 403 };
  assert.deepEqual(await masterOf(...flagsOf(setup)), {
    url,
    result: "rejected",
    http_status: 403,
    wasSent: true,
    error:
      "the master answered 403: worker.crt is not the certificate pinned to this host-uuid; enrol this host again",
  });
  await setup.master.stop();
  assert.deepEqual(await masterOf(...flagsOf(setup)), {
    url,
    result: "unreachable",
    http_status: null,
    wasSent: true,
    error:
      `Cannot reach the master at 127.0.0.1:${setup.port}: nobody listens there; start it, or see swarmctl-port`,
  });
  await Deno.remove(`${setup.path}/worker.key`);
  const error =
    `Cannot use ${setup.path}/worker.key: no such file; agent-dir tells where it must be`;
  assert.deepEqual(await masterOf(...flagsOf(setup)), {
    url,
    result: "unreachable",
    ...nothing,
    error,
  });
});

Deno.test("--once --json tells an error in place of Docker and the store", async () => {
  await using setup = await AgentSetup.create();
  await Deno.writeTextFile(setup.storePath, "garbage ".repeat(999));
  await setup.engine.stop();
  const { stdout } = await runOn(["--once", "--json", ...flagsOf(setup, { master: false })]);
  const { topology, drift, store, docker, certificates } = JSON.parse(stdout);
  assert.deepEqual([topology, drift, certificates], [null, null, null]);
  const detail = `Cannot read the store ${setup.storePath}: file is not a database`;
  assert.deepEqual(store, { path: setup.storePath, state: "unreadable", detail });
  assert.deepEqual(Object.keys(docker), ["host", "error"]);
  assert.match(docker.error, /^Cannot observe Docker/);
});
