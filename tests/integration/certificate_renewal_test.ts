import assert from "node:assert/strict";
import { runLoop } from "../../agent/loop.ts";
import { AgentSetup, SkippedTime, withAgent } from "../support/agent_setup.ts";
import { createAuthority } from "../support/certificates.ts";
import { assertOvercome, type MasterFault } from "../support/master_faults.ts";
import { authority, rogueAuthority } from "../support/master_setup.ts";

const dayMs = 24 * 60 * 60 * 1000;
const never = new AbortController().signal;

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

Deno.test("Agent.sendHeartbeat() names ca.crt when that is what expires first", async () => {
  await withAgent(async (setup, agent) => {
    const notAfter = new Date(Date.now() + 7 * dayMs);
    const { certificatePem } = await authority.issue({ commonName: "old", notAfter });
    await Deno.writeTextFile(`${setup.path}/ca.crt`, authority.certificatePem + certificatePem);
    const { certificates, result } = await agent.sendHeartbeat(never);
    assert.equal(certificates?.problem, `ca.crt expires on ${dateOf(notAfter)}; renew it`);
    assert.equal(result.kind, "delivered");
  });
});

function dateOf(time: Date): string {
  return time.toISOString().slice(0, 10);
}

/** To the second, as in certificates. */
function timeOf(time: Date): string {
  return time.toISOString().replace(/\.\d+/, "");
}

Deno.test("Agent.sendHeartbeat() warns of expiry beside bad new files", async () => {
  await withAgent(async (setup, agent) => {
    await setup.writeCertificates("worker-1", new Date(Date.now() + 60 * 60 * 1000));
    const before = (await agent.sendHeartbeat(never)).certificates!;
    assert.match(before.problem!, /^worker\.crt expires at \S+Z; renew it$/);
    await Deno.writeTextFile(`${setup.path}/worker.crt`, "cut sh");
    const { result, certificates } = await agent.sendHeartbeat(never);
    assert.equal(result.kind, "delivered");
    assert.equal(
      certificates!.problem,
      `Cannot use ${setup.path}/worker.crt: not valid PEM; openssl x509 or openssl pkey ` +
        `(-inform DER) can write it; of those that stay in use, ${before.problem}`,
    );
    assert.equal(certificates!.expiresAt, before.expiresAt);
  });
});

const daysFromNow = (days: number) => new Date(Date.now() + days * dayMs);
const old = await authority.issue({
  commonName: "old authority",
  notBefore: daysFromNow(-90),
  notAfter: daysFromNow(-1),
});

Deno.test("Agent.sendHeartbeat() warns of an expired authority if it is the only", async () => {
  await withAgent(async (setup, agent) => {
    const [valid, expired] = [authority.certificatePem, old.certificatePem];
    for (const text of [`${valid}\n${expired}`, `${expired}\n${valid}`]) {
      await Deno.writeTextFile(`${setup.path}/ca.crt`, text);
      const { result, certificates } = await agent.sendHeartbeat(never);
      assert.equal(result.kind, "delivered");
      assert.equal(certificates!.problem, null);
      assert.ok(certificates!.expiresAt! > Date.now());
    }
    await Deno.writeTextFile(`${setup.path}/ca.crt`, expired);
    const { result, certificates } = await agent.sendHeartbeat(never);
    assert.equal(result.kind, "unreachable");
    assert.match(certificates!.problem!, /^ca\.crt has expired at /);
  });
});

Deno.test("Agent.sendHeartbeat() warns that worker.crt's authority expired", async () => {
  const expired = await createAuthority("old authority", daysFromNow(-1));
  const { certificatePem, keyPem } = await expired.issue({ commonName: "demo-host" });
  await withAgent(async (setup, agent) => {
    const texts = [authority.certificatePem, expired.certificatePem];
    await Deno.writeTextFile(`${setup.path}/ca.crt`, texts.join("\n"));
    await Deno.writeTextFile(`${setup.path}/worker.crt`, certificatePem);
    await Deno.writeTextFile(`${setup.path}/worker.key`, keyPem);
    const { certificates } = await agent.sendHeartbeat(never);
    assert.match(certificates!.problem!, /^ca\.crt has expired at /);
  });
});

const client = { commonName: "worker-2", usage: "client" } as const;
const fromNow = (minutes: number) => new Date(Date.now() + minutes * 60_000);
const time = "\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\dZ";
const refused =
  "Cannot reach the master at 127\\.0\\.0\\.1:\\d+: it (closed the connection before it " +
  "answered; it may not accept|refuses) worker\\.crt";
const failed = (failures: number) => new RegExp(`${refused}.* failures=${failures}$`);
const accepted = /"the master accepts heartbeats again" failures=2$/;
const inOrder = /^level=info msg="the certificates are in order again"$/;

/** Certificates with which no heartbeat is delivered: a failure of the master's, and one of the host's. */
function invalid(what: string, minutes: [from: number, to: number], words: string): MasterFault {
  return {
    what,
    strike: async (host) => {
      const [notBefore, notAfter] = minutes.map(fromNow) as [Date, Date];
      await host.replaceWorker(await authority.issue({ ...client, notBefore, notAfter }));
    },
    result: "unreachable",
    says: new RegExp(`${refused}.*; ${words}`),
    // The time in it does not make it another problem at each heartbeat.
    lines: [new RegExp(`${words}" subject=certificates$`), failed(1), failed(2), inOrder, accepted],
  };
}

/** Files that are of no use: a running agent stays with those that it has read before. */
function unusable(what: string, file: string, text: () => Promise<string>, words: string) {
  return {
    what,
    strike: async ({ setup }) => await Deno.writeTextFile(`${setup.path}/${file}`, await text()),
    result: "delivered",
    says: new RegExp(words),
    lines: [new RegExp(`${words}" subject=certificates$`), inOrder],
    once: ["UNKNOWN", 3],
  } satisfies MasterFault;
}

const faults: MasterFault[] = [
  invalid(
    "M20 a certificate of its own that has expired",
    [-90, -1],
    `worker\\.crt has expired at ${time}, and this host's clock says ${time}; renew it, or set ` +
      "the clock if it is wrong",
  ),
  invalid(
    "M20 a certificate of its own that is not valid yet",
    [1, 90],
    `worker\\.crt is not valid before ${time} \\(then until ${time}\\), and this host's clock ` +
      `says ${time}; set the clock if it is wrong`,
  ),
  {
    what: "M20 a certificate of its own that the master does not accept",
    strike: async (host) => {
      await host.replaceWorker(await rogueAuthority.issue(client));
    },
    result: "unreachable",
    says: new RegExp(refused),
  },
  unusable(
    "M18 a worker.crt that is half written",
    "worker.crt",
    async () => (await authority.issue(client)).certificatePem.slice(0, 300),
    "Cannot use \\S+/worker\\.crt: not valid PEM; openssl x509 or openssl pkey \\(-inform DER\\) " +
      "can write it",
  ),
  unusable(
    "M18 a worker.key of another certificate",
    "worker.key",
    async () => (await authority.issue(client)).keyPem,
    "Cannot use \\S+: worker\\.key does not fit worker\\.crt; put there what was issued together",
  ),
];

for (const fault of faults) {
  Deno.test(`${fault.what}: reported and survived`, () => assertOvercome(fault));
}

Deno.test("M17 no heartbeat is lost while certificates are replaced repeatedly", async () => {
  await using setup = await AgentSetup.create();
  const rounds = 4;
  for (let round = 0; round < rounds; round++) {
    const commonName = `round-${round}`;
    const { certificatePem, keyPem } = await authority.issue({ ...client, commonName });
    await Deno.writeTextFile(`${setup.path}/${round}.crt`, certificatePem);
    await Deno.writeTextFile(`${setup.path}/${round}.key`, keyPem, { mode: 0o600 });
  }
  // By turns in place, where a half of it can be read, and by renaming; never both files at once.
  const replace = `until [ -e stop ]; do for round in $(seq 0 ${
    rounds - 1
  }); do for it in crt key; do
    if [ $((round % 2)) = 0 ]; then cat $round.$it > worker.$it
    else cp -p $round.$it new; mv new worker.$it; fi
    sleep 0.03; done; done; done`;
  const agent = setup.newAgent();
  const [results, lines]: [string[], string[]] = [[], []];
  const names = () => setup.master.heartbeats.map(({ clientCommonName }) => clientCommonName);
  let heartbeatsLeft = 2;
  let isReplaced = false;
  const time = new SkippedTime();
  try {
    // An agent that has not read any certificates yet would have none to stay with.
    await agent.sendHeartbeat(never);
    const options = { args: ["-ec", replace], cwd: setup.path };
    const replacing = new Deno.Command("sh", options).output().finally(() => isReplaced = true);
    await runLoop(agent, never, {
      intervalMs: 30_000,
      log: (level, message) => level !== "debug" && lines.push(message),
      onHeartbeat: ({ result }) => results.push(result.error ?? result.kind),
      now: time.now,
      // The files change while other things than the reading of them go on.
      wait: (ms) => {
        time.skip(ms);
        // A slow machine takes more rounds; the limit ends a test that fails.
        const isSeen = new Set(names()).size > 3 && results.length > 12;
        if (isSeen || results.length > 900) Deno.writeTextFileSync(`${setup.path}/stop`, "");
        const goesOn = !isReplaced || heartbeatsLeft-- > 0;
        return new Promise((resolve) => setTimeout(resolve, 1, goesOn));
      },
    });
    assert.ok((await replacing).success);
  } finally {
    agent.close();
  }
  assert.deepEqual(new Set(results), new Set(["delivered"]));
  assert.equal(setup.master.heartbeatCount, results.length + 1);
  assert.ok(lines.every((line) => /worker\.|in order again/.test(line)), lines.join("\n"));
  assert.equal(names().at(-1), `round-${rounds - 1}`);
  assert.ok(new Set(names()).size > 3, names().join(" "));
});
