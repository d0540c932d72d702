import assert from "node:assert/strict";
import { agentIdentity, ApiSetup } from "../tests/support/api_setup.ts";
import { authority, rogueAuthority } from "../tests/support/master_setup.ts";

const getHealth = "GET /health HTTP/1.1\r\nHost: agent\r\n\r\n";
const options = { reloadIntervalMs: 10 };

Deno.test("the API uses new certificates under load without losing a call", async () => {
  await using api = await ApiSetup.start(options);
  using kept = await api.talk();
  kept.send(getHealth);
  await kept.receive("ok");
  const names = new Set<string>();
  let isOver = false;
  const load = async () => {
    while (!isOver) {
      const { status, serverName } = await api.call("/topology/state");
      assert.equal(status, 200);
      names.add(serverName);
    }
  };
  const loads = [load(), load(), load()];
  while (!names.has("the agent")) await api.call("/health");
  for (const name of ["first", "second", "third"]) {
    const certificates = await agentIdentity(name);
    api.loaded = { certificates, problem: null };
    await api.isUsed(certificates);
    while (!names.has(name)) await api.call("/health");
  }
  isOver = true;
  await Promise.all(loads);
  assert.deepEqual([...names], ["the agent", "first", "second", "third"]);
  // The connection from before is still open.
  kept.send("GET /topology/state HTTP/1.1\r\nHost: agent\r\n\r\n");
  await kept.receive("topology_id");
  // A client without a certificate is still refused.
  using stranger = await api.talk({ authority: authority.certificatePem });
  stranger.send(getHealth);
  assert.equal(await stranger.end(), "");
  assert.deepEqual(api.log, []);
});

Deno.test("the API closes connections that a new ca.crt does not verify", async () => {
  await using api = await ApiSetup.start(options);
  using kept = await api.talk();
  kept.send(getHealth);
  await kept.receive("ok");
  const certificates = await agentIdentity("the agent", rogueAuthority);
  api.loaded = { certificates, problem: null };
  await kept.end();
  await api.isUsed(certificates);
  using client = await api.talk();
  client.send(getHealth);
  assert.equal(await client.end(), "");
  const { certificatePem, keyPem } = await rogueAuthority.issue({ commonName: "decnet-master" });
  const other = { ...certificates, certificate: certificatePem, key: keyPem };
  assert.equal((await api.callAs(other, "/health")).status, 200);
});

Deno.test("the API keeps its certificates when new ones are broken, logs once", async () => {
  await using api = await ApiSetup.start(options);
  const { certificates } = api.loaded;
  let looks = 0;
  const watch = (loaded: typeof api.loaded) => ({
    get certificates() {
      looks++;
      return loaded.certificates;
    },
    problem: loaded.problem,
  });
  const seen = async (loaded: typeof api.loaded) => {
    looks = 0;
    api.loaded = watch(loaded);
    while (looks < 5) assert.equal((await api.call("/health")).serverName, "the agent");
  };
  const said = "warn the API keeps its current certificates: ";
  const problem = "Cannot use ca.crt: no such file";
  // Fixed and broken again: logged again.
  for (let times = 0; times < 2; times++) {
    await seen({ certificates, problem });
    assert.deepEqual(api.log.splice(0), [said + problem]);
    await seen({ certificates, problem: null });
    assert.deepEqual(api.log, []);
  }
});
