import assert from "node:assert/strict";
import { withAgent } from "../tests/support/agent_setup.ts";
import { agentIdentity, ApiSetup, master } from "../tests/support/api_setup.ts";
import { writeAgentDirectory } from "../tests/support/certificates.ts";
import { authority, rogueAuthority } from "../tests/support/master_setup.ts";

const getHealth = "GET /health HTTP/1.1\r\nHost: agent\r\n\r\n";
const options = { reloadIntervalMs: 10 };

Deno.test("the API takes new certificates into use under load, and loses no call", async () => {
  await using api = await ApiSetup.start(options);
  using kept = await api.talk();
  kept.say(getHealth);
  await kept.hear("ok");
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
  for (const name of ["first", "second", "third"]) {
    const certificates = await agentIdentity(name);
    api.loaded = { certificates, problem: null };
    await api.isUsed(certificates);
    while (!names.has(name)) await api.call("/health");
  }
  isOver = true;
  await Promise.all(loads);
  assert.deepEqual([...names], ["the agent", "first", "second", "third"]);
  // One that was there before lives on.
  kept.say("GET /topology/state HTTP/1.1\r\nHost: agent\r\n\r\n");
  await kept.hear("topology_id");
  // And still nobody gets in without a certificate.
  using stranger = await api.talk({ authority: authority.certificatePem });
  stranger.say(getHealth);
  assert.equal(await stranger.end(), "");
  assert.deepEqual(api.log, []);
});

Deno.test("the API ends the connections of those that a new ca.crt does not know", async () => {
  await using api = await ApiSetup.start(options);
  using kept = await api.talk();
  kept.say(getHealth);
  await kept.hear("ok");
  const certificates = await agentIdentity("the agent", rogueAuthority);
  api.loaded = { certificates, problem: null };
  await kept.end();
  await api.isUsed(certificates);
  using client = await api.talk();
  client.say(getHealth);
  assert.equal(await client.end(), "");
  const { certificatePem, keyPem } = await rogueAuthority.issue({ commonName: "decnet-master" });
  const other = { ...certificates, certificate: certificatePem, key: keyPem };
  assert.equal((await api.callAs(other, "/health")).status, 200);
});

Deno.test("the API stays with its certificates when the new ones are of no use, and says so once", async () => {
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
  const mixed = { ...certificates, key: (await agentIdentity("other")).key };
  await seen({ certificates, problem: "Cannot use ca.crt: no such file" });
  assert.deepEqual(api.log.splice(0), [`${said}Cannot use ca.crt: no such file`]);
  // What the folder takes for good and TLS does not.
  await seen({ certificates: mixed, problem: null });
  assert.equal(api.log.length, 1);
  assert.ok(
    api.log.pop()?.startsWith(`${said}Cannot use worker.crt, worker.key and ca.crt for TLS`),
  );
  // Mended, and broken again: that is new.
  await seen({ certificates, problem: null });
  assert.deepEqual(api.log, []);
  await seen({ certificates: mixed, problem: null });
  assert.equal(api.log.length, 1);
  assert.equal((await api.callAs(master, "/health")).status, 200);
});

const dayMs = 24 * 60 * 60 * 1000;
const never = new AbortController().signal;

Deno.test("Agent.beat() shows a new certificate at the next beat", async () => {
  await withAgent(async (setup, agent) => {
    await agent.sendHeartbeat(never);
    await setup.writeCertificates("renewed");
    await agent.sendHeartbeat(never);
    await agent.sendHeartbeat(never);
    const names = setup.master.heartbeats.map(({ clientCommonName }) => clientCommonName);
    assert.deepEqual(names, ["worker-1", "renewed", "renewed"]);
    assert.equal(setup.master.connectionCount, 2);
  });
});

Deno.test("Agent.beat() stays with the old certificate while the new pair is of no use, and says so", async () => {
  await withAgent(async (setup, agent) => {
    await agent.sendHeartbeat(never);
    const { certificatePem } = await authority.issue({ commonName: "renewed", usage: "client" });
    const problems: (string | null | undefined)[] = [];
    for (const half of [certificatePem.slice(0, 200), certificatePem]) {
      await Deno.writeTextFile(`${setup.path}/worker.crt`, half);
      const { result, certificates } = await agent.sendHeartbeat(never);
      assert.equal(result.kind, "delivered");
      problems.push(certificates?.problem);
    }
    await setup.writeCertificates("renewed");
    problems.push((await agent.sendHeartbeat(never)).certificates?.problem);
    assert.deepEqual(problems, [
      `Cannot use ${setup.path}/worker.crt: not valid PEM; ` +
      "openssl x509 or openssl pkey (-inform DER) can write it",
      `Cannot use ${setup.path}: worker.key does not fit worker.crt; put there what was issued together`,
      null,
    ]);
    const names = setup.master.heartbeats.map(({ clientCommonName }) => clientCommonName);
    assert.deepEqual(names, ["worker-1", "worker-1", "worker-1", "renewed"]);
  });
});

Deno.test("Agent.beat() takes up a new ca.crt, by which the master must then be signed", async () => {
  await withAgent(async (setup, agent) => {
    await agent.sendHeartbeat(never);
    await Deno.writeTextFile(`${setup.path}/ca.crt`, rogueAuthority.certificatePem);
    const { result } = await agent.sendHeartbeat(never);
    assert.match(result.error ?? "", /not signed by ca\.crt/);
    assert.equal(setup.master.heartbeatCount, 1);
  });
});

Deno.test("M21 heartbeat warns from 30 days before a certificate expires", async () => {
  await withAgent(async (setup, agent) => {
    const cases: [days: number, problem: (time: string) => RegExp | null][] = [
      [31, () => null],
      [29, (time) => new RegExp(`^worker\\.crt expires on ${time.slice(0, 10)}; renew it$`)],
      [1, (time) => new RegExp(`^worker\\.crt expires at ${time}; renew it$`)],
      [
        -1 / 48,
        (time) =>
          new RegExp(
            `^worker\\.crt has expired at ${time}, and this host's clock says \\S+Z; ` +
              "renew it, or set the clock if it is wrong$",
          ),
      ],
    ];
    for (const [days, problem] of cases) {
      const notAfter = new Date(Math.floor((Date.now() + days * dayMs) / 1000) * 1000);
      await setup.writeCertificates("worker-1", notAfter);
      const { certificates, result } = await agent.sendHeartbeat(never);
      assert.equal(certificates?.expiresAt, notAfter.getTime());
      const expected = problem(timeOf(notAfter));
      if (expected) assert.match(certificates?.problem ?? "", expected);
      else assert.equal(certificates?.problem, null);
      // An expired one is still shown: whether to take it is the master's to say.
      assert.equal(result.kind, days > 0 ? "delivered" : "unreachable");
    }
  });
});

Deno.test("Agent.beat() names ca.crt when that is what expires first", async () => {
  await withAgent(async (setup, agent) => {
    const notAfter = new Date(Date.now() + 7 * dayMs);
    const { certificatePem } = await authority.issue({ commonName: "old", notAfter });
    await Deno.writeTextFile(`${setup.path}/ca.crt`, authority.certificatePem + certificatePem);
    const { certificates, result } = await agent.sendHeartbeat(never);
    assert.equal(certificates?.problem, `ca.crt expires on ${dateOf(notAfter)}; renew it`);
    assert.equal(result.kind, "delivered");
  });
});

Deno.test("Agent.beat() blames the clock, too, for a certificate that is not valid yet", async () => {
  await withAgent(async (setup, agent) => {
    const notBefore = new Date(Date.now() + 3 * dayMs);
    // That it is about to expire as well matters less.
    const notAfter = new Date(Date.now() + 5 * dayMs);
    const worker = await authority.issue({ commonName: "early", notBefore, notAfter });
    await writeAgentDirectory(setup.path, authority, worker);
    const { certificates, checkedAt } = await agent.sendHeartbeat(never);
    assert.equal(
      certificates?.problem,
      `worker.crt is not valid before ${timeOf(notBefore)} (then until ${timeOf(notAfter)}), and ` +
        `this host's clock says ${timeOf(new Date(checkedAt))}; set the clock if it is wrong`,
    );
  });
});

function dateOf(time: Date): string {
  return time.toISOString().slice(0, 10);
}

/** To the second, as in certificates. */
function timeOf(time: Date): string {
  return time.toISOString().replace(/\.\d+/, "");
}
