import assert from "node:assert/strict";
import { mendOfNoTls } from "../doctor/checks/master.ts";
import type { AgentSetup } from "./agent_setup.ts";
import { createAuthority, writeAgentDirectory } from "./certificates.ts";
import { unhurried, withFlag, without } from "./doctor_fault.ts";
import { examineHost, withPatient } from "./doctor_setup.ts";
import { authority, rogueAuthority, startMaster } from "./master_setup.ts";
import { listenPlainTcp } from "./tls_master.ts";

const day = 86_400_000;
const setClock = "timedatectl set-ntp true";
const renew = ({ path }: AgentSetup) =>
  `install -m 600 BUNDLE/worker.crt BUNDLE/worker.key ${path}/`;
/** A certificate of this host, of another authority or of other times. */
const issue = async (
  { path }: AgentSetup,
  issuer = authority,
  days: [number, number] = [-1, 9],
) => {
  const [notBefore, notAfter] = days.map((it) => new Date(Date.now() + it * day));
  const worker = await issuer.issue({
    commonName: "worker-1",
    usage: "client",
    notBefore: notBefore!,
    notAfter: notAfter!,
  });
  await writeAgentDirectory(path, authority, worker);
};

Deno.test("doctor proposes the same against a ca.crt that fits neither worker.crt nor the master", () =>
  withPatient(async (setup) => {
    await Deno.writeTextFile(`${setup.path}/ca.crt`, rogueAuthority.certificatePem);
    const report = await examineHost(setup);
    const mend = `install -m 644 BUNDLE/ca.crt ${setup.path}/`;
    assert.deepEqual([report.of("authority").mend, report.of("master-tls").mend], [mend, mend]);
  }));

Deno.test("doctor proposes the same against a worker.crt that fits neither ca.crt nor the master", () =>
  withPatient(async (setup) => {
    await issue(setup, rogueAuthority);
    const report = await examineHost(setup, unhurried);
    const mends = [report.of("authority").mend, report.of("master-tls").mend];
    assert.deepEqual(mends, [renew(setup), renew(setup)]);
  }));

Deno.test("doctor has all three certificates renewed where no master shows which do not fit", () =>
  withPatient(async (setup) => {
    await issue(setup, await createAuthority("somebody else"));
    await setup.master.stop();
    const { saw, mend } = (await examineHost(setup)).of("authority");
    assert.match(saw, /its issuer is somebody else, and ca\.crt is test authority; a master/);
    const files = "BUNDLE/ca.crt BUNDLE/worker.crt BUNDLE/worker.key";
    assert.equal(mend, `install -m 600 ${files} ${setup.path}/`);
  }));

Deno.test("doctor doubts the clock rather than two certificates that have expired", () =>
  withPatient(async (setup) => {
    await issue(setup, authority, [-9, -1]);
    assert.equal((await examineHost(setup)).of("validity").mend, renew(setup));
    const [notBefore, notAfter] = [new Date(Date.now() - 9 * day), new Date(Date.now() - day)];
    await using old = await startMaster({ certificate: { notBefore, notAfter } });
    const flags = withFlag(setup, "swarmctl-port", String(old.port));
    const { saw, mend } = (await examineHost(setup, { flags })).of("validity");
    assert.match(saw, /^by this host's clock the master's certificate has expired as well; worker/);
    assert.equal(mend, setClock);
  }));

Deno.test("doctor doubts a clock by which nothing was written for over a year", () =>
  withPatient(async (setup) => {
    const real = Date.now;
    const flags = without(setup, "master-host").concat("--listen=127.0.0.1:1");
    const mendAfter = async (days: number) => {
      Date.now = () => real() + days * day;
      try {
        return (await examineHost(setup, { flags })).of("validity").mend;
      } finally {
        Date.now = real;
      }
    };
    await issue(setup);
    assert.equal(await mendAfter(300), renew(setup));
    assert.equal(await mendAfter(3 * 365), setClock);
  }));

Deno.test("doctor names the usual port, or the master, where TLS gets no answer", () =>
  withPatient(async (setup) => {
    const plain = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen() {} },
      () => new Response(),
    );
    const mendAt = async (port: number) => {
      const flags = withFlag(setup, "swarmctl-port", String(port));
      return (await examineHost(setup, { flags })).of("master-tls").mend;
    };
    assert.equal(await mendAt(plain.addr.port), "start it with --swarmctl-port=8770");
    await plain.shutdown();
    using silent = listenPlainTcp();
    assert.equal(
      await mendAt(silent.port),
      `on the master: ss -ltnp 'sport = :${silent.port}' shows its server; its log may say more, ` +
        "restart it",
    );
    const set = () => assert.fail("it is the usual one");
    const onMaster = "on the master: ss -ltnp 'sport = :8770' shows its server";
    const cases = [
      ["it does not speak TLS there; x", "it must speak TLS there"],
      ["it speaks neither TLS 1.2 nor anything newer", "put a newer one in its place"],
    ] as const;
    for (const [message, what] of cases) {
      assert.equal(mendOfNoTls(message, 8770, set), `${onMaster}; ${what}`);
    }
  }));
