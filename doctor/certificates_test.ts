import assert from "node:assert/strict";
import { runLoop } from "../agent/loop.ts";
import { AgentSetup, SkippedTime } from "../tests/support/agent_setup.ts";
import { createAuthority, writeAgentDirectory } from "../tests/support/certificates.ts";
import {
  examineHost,
  type HostOptions,
  normalise,
  service,
  testFaults,
  unhurried,
  unitFile,
  withContext,
  withFlag,
  without,
} from "../tests/support/doctor_setup.ts";
import { assertOvercome, type MasterFault } from "../tests/support/master_faults.ts";
import { authority, rogueAuthority, startMaster } from "../tests/support/master_setup.ts";

const issue = (options: Partial<Parameters<typeof authority.issue>[0]> = {}) =>
  authority.issue({ commonName: "worker-1", usage: "client", ...options });
const day = 86_400_000;

const setClock = "set the clock: timedatectl set-ntp true";
/** What the doctor says to renew files in the folder of the certificates. */
const put = (files: string, folder = "PATH", owner = "root") =>
  `put ${files}, as the master has issued them for this host, into ${folder}, owned by ${owner}` +
  (files.includes("worker.key") ? " with mode 0600" : "");
const renew = put("worker.crt, worker.key");
/** Writes a certificate of this host, of another authority or of other times. */
const issueInto = async (
  { path }: AgentSetup,
  issuer = authority,
  days: [number, number] = [-1, 9],
) => {
  const [notBefore, notAfter] = days.map((it) => new Date(Date.now() + it * day));
  const options = { notBefore: notBefore!, notAfter: notAfter! };
  const worker = await issuer.issue({ commonName: "worker-1", usage: "client", ...options });
  await writeAgentDirectory(path, authority, worker);
};
/** Examines a host, and returns the fixes of some checks. */
const fixesOf = async (setup: AgentSetup, names: string[], options: HostOptions = {}) => {
  const report = await examineHost(setup, options);
  return names.map((name) => normalise(setup, report.of(name).fix));
};

Deno.test("doctor has ca.crt replaced where it fits nothing", () =>
  withContext(async (setup) => {
    await Deno.writeTextFile(`${setup.path}/ca.crt`, rogueAuthority.certificatePem);
    const fixes = await fixesOf(setup, ["authority", "master-tls"]);
    assert.deepEqual(fixes, [put("ca.crt"), put("ca.crt")]);
  }));

Deno.test("doctor has worker.crt replaced where it fits nothing", () =>
  withContext(async (setup) => {
    await issueInto(setup, rogueAuthority);
    const fixes = await fixesOf(setup, ["authority", "master-tls"], unhurried);
    assert.deepEqual(fixes, [renew, renew]);
  }));

Deno.test("doctor has all certificates replaced where no master answers", () =>
  withContext(async (setup) => {
    await issueInto(setup, await createAuthority("another one"));
    await setup.master.stop();
    const { details, fix } = (await examineHost(setup)).of("authority");
    assert.match(details, /its issuer is another one, and ca\.crt is test authority; the files/);
    assert.equal(normalise(setup, fix), put("ca.crt, worker.crt, worker.key"));
  }));

Deno.test("doctor doubts the clock rather than two certificates that have expired", () =>
  withContext(async (setup) => {
    await issueInto(setup, authority, [-9, -1]);
    assert.deepEqual(await fixesOf(setup, ["validity"]), [renew]);
    const [notBefore, notAfter] = [new Date(Date.now() - 9 * day), new Date(Date.now() - day)];
    await using old = await startMaster({ certificate: { notBefore, notAfter } });
    const flags = withFlag(setup, "swarmctl-port", String(old.port));
    const { details, fix } = (await examineHost(setup, { flags })).of("validity");
    assert.match(
      details,
      /^by this host's clock the master's certificate has expired as well; worker/,
    );
    assert.equal(fix, setClock);
  }));

Deno.test("doctor doubts a clock by which nothing was written for over a year", () =>
  withContext(async (setup) => {
    const real = Date.now;
    const flags = without(setup, "master-host").concat("--listen=127.0.0.1:1");
    const fixAfter = async (days: number) => {
      Date.now = () => real() + days * day;
      try {
        return await fixesOf(setup, ["validity"], { flags });
      } finally {
        Date.now = real;
      }
    };
    await issueInto(setup);
    assert.deepEqual(await fixAfter(300), [renew]);
    assert.deepEqual(await fixAfter(3 * 365), [setClock]);
  }));

Deno.test("doctor puts certificates where the service finds them", () =>
  withContext(async (setup) => {
    const flags = without(setup, "agent-dir");
    const all = "ca.crt, worker.crt, worker.key";
    const installing = put(all, "/etc/decnet/agent", "decnet-agent");
    const restart = `${installing}, then: systemctl restart decnet-agent`;
    const packaged = { [unitFile]: "[Service]\nUser=decnet-agent\n" };
    for (const uid of [0, service]) {
      const options = { flags, uid, files: packaged };
      assert.deepEqual(await fixesOf(setup, ["certificates"], options), [restart]);
    }
    const files = { [unitFile]: null, "/run/systemd/units/invocation:decnet-agent.service": null };
    const own = put(all, "/.decnet/agent", "decnet-agent");
    assert.deepEqual(await fixesOf(setup, ["certificates"], { flags, uid: service, files }), [own]);
  }));

testFaults([
  {
    name: "a folder of certificates that does not exist",
    plant: (setup) => ({ flags: withFlag(setup, "agent-dir", `${setup.path}/none`) }),
    finding: "certificates: failed",
    details: /none\/ca\.crt: no such file/,
    fix: "put ca.crt, worker.crt, worker.key, as the master has issued them for this host, " +
      "into PATH/none, owned by root with mode 0600",
  },
  {
    name: "an absent key of the service's user",
    plant: async ({ path }) => {
      await Deno.remove(`${path}/worker.key`);
      return { files: { [unitFile]: "[Service]\nUser=decnet-agent\n" } };
    },
    finding: "certificates: failed",
    details: /worker\.key: no such file/,
    fix: "put worker.key, as the master has issued them for this host, into PATH, owned by " +
      "decnet-agent with mode 0600",
  },
  {
    name: "a key that everybody may read",
    plant: ({ path }) => Deno.chmod(`${path}/worker.key`, 0o644),
    finding: "certificates: failed",
    details: /worker\.key: every user of this host can read it.*mode 0644/,
    fix: "take that right away: chmod o= PATH/worker.key",
  },
  {
    name: "an absent certificate",
    plant: ({ path }) => Deno.remove(`${path}/worker.crt`),
    finding: "certificates: failed",
    details: /worker\.crt: no such file/,
    fix: "put worker.crt, as the master has issued them for this host, into PATH, owned by root",
  },
  {
    name: "a key of another pair",
    plant: async ({ path }) => {
      await Deno.writeTextFile(`${path}/worker.key`, (await issue()).keyPem);
    },
    finding: "certificates: failed",
    details: /worker\.key does not fit worker\.crt/,
    fix: "put worker.crt, worker.key, as the master has issued them for this host, into PATH, " +
      "owned by root with mode 0600",
  },
  {
    name: "an encrypted key",
    plant: ({ path }) =>
      Deno.writeTextFile(`${path}/worker.key`, "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAA==\n"),
    finding: "certificates: failed",
    details: /worker\.key: it is encrypted/,
    fix: "decrypt it: openssl pkey -in PATH/worker.key -out PATH/worker.key.new && mv " +
      "PATH/worker.key.new PATH/worker.key",
  },
  {
    name: "a worker.crt of another authority",
    plant: async ({ path }) => {
      const worker = await rogueAuthority.issue({ commonName: "worker-1", usage: "client" });
      await writeAgentDirectory(path, authority, worker);
      return unhurried;
    },
    finding: "authority: warning",
    details:
      /worker\.crt is not signed by ca\.crt: its issuer has the name of the one in ca\.crt, test authority, but another key; /,
    fix: "put worker.crt, worker.key, as the master has issued them for this host, into PATH, " +
      "owned by root with mode 0600",
    code: 2,
  },
  {
    name: "an expired worker.crt",
    plant: (setup) => setup.writeCertificates("worker-1", new Date(Date.now() - 1_000)),
    finding: "validity: failed",
    details: /worker\.crt has expired at .*this host's clock says/,
    fix: "put worker.crt, worker.key, as the master has issued them for this host, into PATH, " +
      "owned by root with mode 0600",
  },
  {
    name: "a worker.crt that is about to expire",
    plant: (setup) => setup.writeCertificates("worker-1", new Date(Date.now() + 3 * day)),
    finding: "validity: warning",
    details: /worker\.crt expires on /,
    fix: "put worker.crt, worker.key, as the master has issued them for this host, into PATH, " +
      "owned by root with mode 0600",
  },
  {
    name: "a clock that is behind",
    plant: async ({ path }) => {
      const notBefore = new Date(Date.now() + day);
      await writeAgentDirectory(path, authority, await issue({ notBefore }));
    },
    finding: "validity: failed",
    details: /worker\.crt is not valid before .*set the clock if it is wrong/,
    fix: "set the clock: timedatectl set-ntp true",
  },
]);

const client = { commonName: "worker-2", usage: "client" } as const;
const fromNow = (minutes: number) => new Date(Date.now() + minutes * 60_000);
const time = "\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\dZ";
const refused =
  "Cannot reach the master at 127\\.0\\.0\\.1:\\d+: it (closed the connection before it " +
  "answered; it may not accept|refuses) worker\\.crt";
const failed = (failures: number) => new RegExp(`${refused}.* failures=${failures}$`);
const accepted = /"the master accepts heartbeats again" failures=2$/;
const inOrder = /^level=info msg="the certificates are in order again"$/;

/** Certificates that no beat goes out with: a failure of the master's, and one of the host's. */
function invalid(what: string, minutes: [from: number, to: number], words: string): MasterFault {
  return {
    what,
    strike: async (host) => {
      const [notBefore, notAfter] = minutes.map(fromNow) as [Date, Date];
      await host.replaceWorker(await authority.issue({ ...client, notBefore, notAfter }));
    },
    result: "unreachable",
    says: new RegExp(`${refused}.*; ${words}`),
    // The time in it does not make it another problem at each beat.
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
    "M18 a worker.key that is half written",
    "worker.key",
    async () => (await authority.issue(client)).keyPem.slice(0, 100),
    "Cannot use \\S+/worker\\.key: not valid PEM; openssl x509 or openssl pkey \\(-inform DER\\) " +
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
  const rounds = 12;
  for (let round = 0; round < rounds; round++) {
    const { certificatePem, keyPem } = await authority.issue({
      ...client,
      commonName: `worker-${round}`,
    });
    await Deno.writeTextFile(`${setup.path}/${round}.crt`, certificatePem);
    await Deno.writeTextFile(`${setup.path}/${round}.key`, keyPem, { mode: 0o600 });
  }
  // By turns in place, where a half of it can be read, and by renaming; never both files at once.
  const replace = `for round in $(seq 0 ${rounds - 1}); do for it in crt key; do
    if [ $((round % 2)) = 0 ]; then cat $round.$it > worker.$it; else mv $round.$it worker.$it; fi
    sleep 0.03; done; done`;
  const agent = setup.newAgent();
  const [results, lines]: [string[], string[]] = [[], []];
  let heartbeatsLeft = 2;
  let isReplaced = false;
  const time = new SkippedTime();
  try {
    // An agent that has not read any certificates yet would have none to stay with.
    await agent.sendHeartbeat(new AbortController().signal);
    const options = { args: ["-ec", replace], cwd: setup.path };
    const replacing = new Deno.Command("sh", options).output().finally(() => isReplaced = true);
    await runLoop(agent, new AbortController().signal, {
      intervalMs: 30_000,
      log: (_level, message) => lines.push(message),
      onHeartbeat: ({ result }) => results.push(result.error ?? result.kind),
      now: time.now,
      // The files change while other things than the reading of them go on.
      wait: (ms) => {
        time.skip(ms);
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
  assert.ok(results.length > rounds, String(results.length));
  assert.ok(lines.every((line) => /worker\.|in order again/.test(line)), lines.join("\n"));
  const names = new Set(setup.master.heartbeats.map(({ clientCommonName }) => clientCommonName));
  assert.equal([...names].at(-1), `worker-${rounds - 1}`);
  assert.ok(names.size > 2, [...names].join(" "));
});
