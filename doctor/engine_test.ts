import assert from "node:assert/strict";
import type { AgentSetup } from "../tests/support/agent_setup.ts";
import { createAuthority, writeAgentDirectory } from "../tests/support/certificates.ts";
import { flagsOf } from "../tests/support/command_line.ts";
import {
  applyAgain,
  examineHost,
  lineOf,
  reload,
  testFaults,
  unhurried,
  unitFile,
  withContext,
  withFlag,
  without,
} from "../tests/support/doctor_setup.ts";
import { listenPlainTcp } from "../tests/support/environment.ts";
import { authority, rogueAuthority, startMaster } from "../tests/support/master_setup.ts";
import { fixWithoutTls } from "./master.ts";

/** Root looks for the service: it cannot try what that may do. */
const forService = { files: { [unitFile]: "[Service]\nUser=decnet-agent\n" } };

testFaults([
  {
    name: "a socket that is closed to the agent",
    plant: async ({ engine, path }) => {
      await Deno.chown(engine.socketPath, 0, 991);
      await Deno.chmod(engine.socketPath, 0o660);
      await Deno.chmod(path, 0o755);
      return forService;
    },
    check: "socket",
    state: "failed",
    details: /permission denied: user decnet-agent is not in group docker.*mode 0660/,
    fix: () => "usermod -aG docker decnet-agent",
    code: 3,
  },
  {
    name: "a socket that only root's group may use",
    plant: async ({ engine, path }) => {
      await Deno.chmod(engine.socketPath, 0o660);
      await Deno.chmod(path, 0o755);
      return forService;
    },
    check: "socket",
    state: "failed",
    details: /permission denied: user decnet-agent is not in group root/,
    fix: ({ engine }) => `setfacl -m u:decnet-agent:rw ${engine.socketPath}`,
    code: 3,
  },
  {
    name: "an absent engine",
    plant: (setup) => setup.engine.stop(),
    check: "socket",
    state: "failed",
    details: /docker\.sock: no such socket/,
    fix: () => "systemctl restart docker",
    code: 2,
  },
  {
    name: "a folder in place of the socket",
    plant: async ({ engine }) => {
      await engine.stop();
      await Deno.mkdir(engine.socketPath);
    },
    check: "socket",
    state: "failed",
    details: /is no socket, but a folder/,
    fix: ({ engine }) => `rmdir ${engine.socketPath} && systemctl restart docker`,
    code: 2,
  },
  {
    name: "an engine that answers with errors",
    plant: ({ engine }) => {
      engine.fault = { kind: "status", status: 500, message: "no space" };
    },
    check: "engine",
    state: "failed",
    details: /Cannot observe Docker at .*: GET \/networks was answered with 500 \(no space\)/,
    fix: () => "systemctl restart docker",
    code: 2,
  },
  {
    name: "a wrong prefix",
    plant: () => ({ ini: "[agent]\nnetwork-prefix = honey_\n" }),
    check: "prefixes",
    state: "warning",
    details: /network-prefix is honey_, by which decnet_t_11111111_lan-00 would not be known/,
    fix: () => `sed -i '2s|.*|network-prefix = honey_,decnet_t_|' /etc/decnet/decnet.ini${reload}`,
    code: 1,
  },
  {
    name: "two wrong prefixes",
    plant: (setup) => ({
      flags: [...flagsOf(setup), "--container-prefix=honey_"],
      ini: "[agent]\nnetwork-prefix = honey_\n",
    }),
    check: "prefixes",
    state: "warning",
    details:
      /network-prefix is honey_, by which .*lan-00 would.*; container-prefix is honey_, by which decnet_t_/,
    fix: () =>
      `sed -i '2s|.*|network-prefix = honey_,decnet_t_|' /etc/decnet/decnet.ini${reload} && ` +
      "start it with --container-prefix=honey_,decnet_t_",
    code: 1,
  },
  {
    name: "drift",
    plant: ({ engine }) => {
      engine.containers = engine.containers.slice(0, 2);
    },
    check: "drift",
    state: "warning",
    details: /missing decnet_t_11111111_decky-001/,
    fix: applyAgain,
    code: 1,
  },
  {
    name: "a topology that runs, of which the store knows nothing",
    plant: ({ storePath }) => Deno.remove(storePath),
    check: "drift",
    state: "warning",
    details:
      /nothing is applied, but .*unexpected.*where it should stay, apply it again, as a master/,
    fix: (setup) => lineOf(setup, "teardown", "11111111-2222-3333-4444-555555555555"),
    code: 1,
  },
]);

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
  withContext(async (setup) => {
    await Deno.writeTextFile(`${setup.path}/ca.crt`, rogueAuthority.certificatePem);
    const report = await examineHost(setup);
    const fix = `install -m 644 BUNDLE/ca.crt ${setup.path}/`;
    assert.deepEqual([report.of("authority").fix, report.of("master-tls").fix], [fix, fix]);
  }));

Deno.test("doctor proposes the same against a worker.crt that fits neither ca.crt nor the master", () =>
  withContext(async (setup) => {
    await issue(setup, rogueAuthority);
    const report = await examineHost(setup, unhurried);
    const mends = [report.of("authority").fix, report.of("master-tls").fix];
    assert.deepEqual(mends, [renew(setup), renew(setup)]);
  }));

Deno.test("doctor has all three certificates renewed where no master shows which do not fit", () =>
  withContext(async (setup) => {
    await issue(setup, await createAuthority("somebody else"));
    await setup.master.stop();
    const { details, fix } = (await examineHost(setup)).of("authority");
    assert.match(details, /its issuer is somebody else, and ca\.crt is test authority; a master/);
    const files = "BUNDLE/ca.crt BUNDLE/worker.crt BUNDLE/worker.key";
    assert.equal(fix, `install -m 600 ${files} ${setup.path}/`);
  }));

Deno.test("doctor doubts the clock rather than two certificates that have expired", () =>
  withContext(async (setup) => {
    await issue(setup, authority, [-9, -1]);
    assert.equal((await examineHost(setup)).of("validity").fix, renew(setup));
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
    const mendAfter = async (days: number) => {
      Date.now = () => real() + days * day;
      try {
        return (await examineHost(setup, { flags })).of("validity").fix;
      } finally {
        Date.now = real;
      }
    };
    await issue(setup);
    assert.equal(await mendAfter(300), renew(setup));
    assert.equal(await mendAfter(3 * 365), setClock);
  }));

Deno.test("doctor names the usual port, or the master, where TLS gets no answer", () =>
  withContext(async (setup) => {
    const plain = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen() {} },
      () => new Response(),
    );
    const mendAt = async (port: number) => {
      const flags = withFlag(setup, "swarmctl-port", String(port));
      return (await examineHost(setup, { flags })).of("master-tls").fix;
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
      ["not-tls", "it must speak TLS there"],
      ["old-tls", "put a newer one in its place"],
    ] as const;
    for (const [reason, what] of cases) {
      assert.equal(fixWithoutTls(reason, 8770, set), `${onMaster}; ${what}`);
    }
  }));
