import assert from "node:assert/strict";
import { createLog } from "../../host/log.ts";
import { AgentSetup, runSkipping } from "../support/agent_setup.ts";
import { type IssueOptions, writeAgentDirectory } from "../support/certificates.ts";
import { TemporaryFolder } from "../support/environment.ts";
import { assertOvercome, type MasterFault } from "../support/master_faults.ts";
import { authority, rogueAuthority, startMaster } from "../support/master_setup.ts";
import type { TlsMaster } from "../support/tls_master.ts";

const server: IssueOptions = {
  commonName: "the master",
  dnsNames: ["master.test"],
  ipAddresses: ["127.0.0.1"],
  usage: "server",
};
const fromNow = (minutes: number) => new Date(Date.now() + minutes * 60_000);
const time = "\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\dZ";
const unreachable = "Cannot reach the master at 127\\.0\\.0\\.1:\\d+: ";
const says = (words: string) => new RegExp(unreachable + words);

/** A master that has another certificate. */
const certificate = (
  what: string,
  issue: () => ReturnType<typeof authority.issue>,
  words: string,
): MasterFault => ({
  what,
  strike: async (host) => await host.replaceMaster(await issue()),
  result: "unreachable",
  says: says(words),
});

const faults: MasterFault[] = [
  {
    what: "M1 a master that is down",
    strike: ({ master }) => master.stop(),
    result: "unreachable",
    says: says("connection refused; start it, or see swarmctl-port"),
  },
  {
    what: "M7 a port that speaks no TLS",
    strike: async ({ master, port }) => {
      await master.stop();
      const web = Deno.serve(
        { hostname: "127.0.0.1", port, onListen: () => {} },
        () => new Response(),
      );
      return () => web.shutdown();
    },
    result: "unreachable",
    says: says("it does not speak TLS on that port; see swarmctl-port"),
  },
  {
    what: "M7 a master that cuts the connection",
    strike: ({ master }) => {
      master.answer = { kind: "reset" };
      return Promise.resolve();
    },
    result: "unreachable",
    says: says("it closed the connection before it answered; it may not accept worker\\.crt"),
  },
  certificate(
    "M9 a master whose certificate has expired",
    () => authority.issue({ ...server, notBefore: fromNow(-90), notAfter: fromNow(-1) }),
    `its certificate has expired: it is valid from ${time} to ${time}, and this host's clock ` +
      `says ${time}; renew it, or correct the clock`,
  ),
  certificate(
    "M11 a master of another name",
    () => authority.issue({ ...server, dnsNames: ["other.test"] }),
    "its certificate does not have the name master\\.test, but DNS:other\\.test, " +
      "IP Address:127\\.0\\.0\\.1; see master-name",
  ),
  certificate(
    "M12 a master of an authority that is not in ca.crt",
    () => rogueAuthority.issue(server),
    'its certificate is not signed by ca\\.crt: it has the name "the master", and as its ' +
      'issuer "test authority"; ca\\.crt must hold the certificate of the master\'s authority',
  ),
  certificate(
    "M13 a master with another certificate than the pinned one",
    () => authority.issue(server),
    "its certificate is not the pinned one, but has the fingerprint [0-9a-f]{64}; " +
      "see master-fingerprint",
  ),
];

for (const fault of faults) {
  Deno.test(`${fault.what}: reported and survived`, () => assertOvercome(fault));
}

Deno.test("M15 the agent logs 1st, 2nd, 4th … failure and backs off up to 5 min", async () => {
  await using setup = await AgentSetup.create();
  using stack = new DisposableStack();
  const agent = stack.adopt(setup.newAgent(), (it) => it.close());
  const statuses = [...Array(9).fill(503), 204, 503, 503, 204];
  const written: number[] = [];
  const [, ...waitsMs] = await runSkipping(agent, {
    log: createLog((line) => {
      const [, level, failures] = line.match(/^level=(\w+) .* failures=(\d+)\n$/)!;
      written.push(level === "info" ? 0 : Number(failures));
    }),
    random: () => 0.5,
    before: (heartbeat) => {
      const status = statuses[heartbeat - 1];
      setup.master.answer = { status: status ?? 204 };
      return Promise.resolve(status !== undefined);
    },
  });
  assert.deepEqual(written, [1, 2, 4, 8, 0, 1, 2, 0]);
  const failing = [7.5, 12.5, 22.5, 42.5, 82.5, 152.5, 152.5, 152.5, 152.5];
  assert.deepEqual(waitsMs.slice(0, 9), failing.map((s) => s * 1_000));
  const [afterReturn, ...failingAgain] = waitsMs.slice(9, 12);
  assert.ok(afterReturn! > 20_000 && afterReturn! <= 30_000, String(afterReturn));
  assert.deepEqual(failingAgain, [7_500, 12_500]);
});

const root = new URL("../../", import.meta.url).pathname;

/** Checks once, from source, with the permissions and in the environment of a real run. */
async function checkOnce(
  master: TlsMaster,
  environment: (rogueCa: string) => Record<string, string>,
): Promise<string> {
  using folder = new TemporaryFolder();
  await writeAgentDirectory(
    folder.path,
    authority,
    await authority.issue({ commonName: "worker-1", usage: "client" }),
  );
  const rogueCa = `${folder.path}/rogue.crt`;
  await Deno.writeTextFile(rogueCa, rogueAuthority.certificatePem);
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "-P=agent", "--no-prompt", "--cached-only", "main.ts", "--once"],
      ...[`--agent-dir=${folder.path}`, `--state-dir=${folder.path}`],
      ...["--master-host=127.0.0.1", `--swarmctl-port=${master.port}`, "--master-name=master.test"],
      ...["--host-uuid=h", `--docker-host=unix://${folder.path}/none.sock`],
    ],
    cwd: root,
    env: { NO_COLOR: "1", ...environment(rogueCa) },
  }).output();
  return new TextDecoder().decode(stdout);
}

Deno.test("a heartbeat ignores the proxies that the environment names", async () => {
  await using master = await startMaster();
  const names = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "ALL_PROXY"];
  const proxies = Object.fromEntries(names.map((name) => [name, "http://127.0.0.1:1"]));
  const stdout = await checkOnce(master, () => ({ NODE_USE_ENV_PROXY: "1", ...proxies }));
  assert.equal(master.heartbeatCount, 1, stdout);
});

Deno.test("no variable makes the agent trust another authority", async () => {
  await using master = await startMaster({ issuer: rogueAuthority });
  const sets: ((rogueCa: string) => Record<string, string>)[] = [
    () => ({ NODE_TLS_REJECT_UNAUTHORIZED: "0" }),
    (rogueCa) => ({
      NODE_EXTRA_CA_CERTS: rogueCa,
      NODE_OPTIONS: "--use-openssl-ca",
      NODE_USE_SYSTEM_CA: "1",
    }),
    (rogueCa) => ({
      SSL_CERT_FILE: rogueCa,
      DENO_CERT: rogueCa,
      DENO_TLS_CA_STORE: "system,mozilla",
      DENO_UNSAFELY_IGNORE_CERTIFICATE_ERRORS: "1",
    }),
  ];
  for (const environment of sets) {
    const stdout = await checkOnce(master, environment);
    assert.match(stdout, /^DECNET CRITICAL - .*not signed by ca\.crt/);
  }
  assert.equal(master.heartbeatCount, 0);
});
