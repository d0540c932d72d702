import assert from "node:assert/strict";
import { CertificateFolder } from "../master/certificates.ts";
import type { AgentSetup } from "../tests/support/agent_setup.ts";
import { ApiSetup } from "../tests/support/api_setup.ts";
import { writeAgentDirectory } from "../tests/support/certificates.ts";
import {
  examineHost,
  normalise,
  testFaults,
  withContext,
  withFlag,
  without,
} from "../tests/support/doctor_setup.ts";
import { freePort, listenPlainTcp } from "../tests/support/environment.ts";
import { LogListener } from "../tests/support/log_listener.ts";
import { authority } from "../tests/support/master_setup.ts";

/** Starts a server without TLS, on a free port. */
function servePlainHttp() {
  const options = { hostname: "127.0.0.1", port: 0, onListen() {} };
  const server = Deno.serve(options, () => new Response());
  return { port: server.addr.port, [Symbol.asyncDispose]: () => server.shutdown() };
}

Deno.test("doctor names the usual port, or the master, where TLS gets no answer", () =>
  withContext(async (setup) => {
    await using plain = servePlainHttp();
    const fixAt = async (port: number) => {
      const flags = withFlag(setup, "swarmctl-port", String(port));
      return (await examineHost(setup, { flags })).of("master").fix;
    };
    const place = "(set by --swarmctl-port)";
    const usual = `correct swarmctl-port ${place}; masters usually listen on 8770`;
    assert.equal(await fixAt(plain.port), usual);
    using silent = listenPlainTcp();
    assert.equal(
      await fixAt(silent.port),
      `see on the master which program listens on port ${silent.port} (ss -ltnp); read its log, ` +
        "then restart it",
    );
  }));

Deno.test("doctor remarks that the API listens on all addresses, and why", () =>
  withContext(async (setup) => {
    const ipAddresses = ["127.0.0.1"];
    const worker = await authority.issue({ commonName: "worker-1", ipAddresses });
    await writeAgentDirectory(setup.path, authority, worker);
    const certificates = new CertificateFolder(setup.path);
    await using api = await ApiSetup.start({ host: "0.0.0.0", certificates });
    const { port } = api;
    const ini = `[agent]\nagent-port = ${port}\n`;
    const report = await examineHost(setup, { ini });
    const remark = `listen = 0.0.0.0:${port} (agent-port in /etc/decnet/decnet.ini line 2) ` +
      "means all addresses of this host; let only the master reach that port";
    const { state, details, fix } = report.of("api");
    assert.deepEqual([state, fix, report.code], ["ok", null, 0]);
    assert.ok(details.endsWith(`, as IP Address:127.0.0.1; ${remark}`), details);
    // Set by hand, it is said, too; one address is not worth a remark.
    const flags = withFlag(setup, "listen", `0.0.0.0:${port}`);
    assert.match((await examineHost(setup, { flags })).of("api").details, /\(--listen\) means all/);
    const one = withFlag(setup, "listen", `127.0.0.1:${port}`);
    assert.doesNotMatch((await examineHost(setup, { flags: one })).of("api").details, /all addr/);
    // A real problem keeps its state and its fix.
    await Deno.remove(`${setup.path}/agent.lock`);
    await api.stop();
    const silent = (await examineHost(setup, { ini })).of("api");
    assert.equal(silent.state, "skipped");
    assert.match(silent.details, /^no agent is running.*; listen = .* means all/);
  }));

/** Starts the master's listener for log lines, with a certificate for one name. */
const startListener = async (name: string) =>
  await LogListener.start({
    authority,
    certificate: await authority.issue({ commonName: name, dnsNames: [name], usage: "server" }),
  });

Deno.test("doctor finds a listener that takes log lines, and sends it none", () =>
  withContext(async (setup) => {
    await using listener = await startListener("decnet-master");
    const flags = withFlag(setup, "syslog-port", String(listener.port));
    const { state, details } = (await examineHost(setup, { flags })).of("log-listener");
    assert.equal(state, "ok", details);
    assert.match(details, /with DNS:decnet-master, valid to .*; on the master, the ingester must /);
    assert.deepEqual([listener.connectionCount, listener.lines], [1, []]);
    const off = [...flags, "--forward-logs=false"];
    assert.equal((await examineHost(setup, { flags: off })).of("log-listener").state, "skipped");
    assert.equal((await examineHost(setup)).of("log-listener").state, "skipped");
  }));

const usualLogPort = "correct syslog-port (set by --syslog-port); masters usually listen on 6514";
const unfitCertificate = "put worker.crt, worker.key (issued by the master for this host) into " +
  "PATH, owned by root with mode 0600";

/** A listener, and what is reported of it. */
type ListenerCase = [
  name: string,
  start: (setup: AgentSetup) => Promise<{ readonly port: number } & AsyncDisposable>,
  details: RegExp,
  fix: string,
];

const listenerCases: ListenerCase[] = [
  [
    "with the name of another host",
    () => startListener("worker-2"),
    /its certificate does not have the name decnet-master; see syslog-port;/,
    usualLogPort,
  ],
  [
    "that refuses worker.crt",
    async (setup) => {
      await setup.writeCertificates("unknown");
      return await startListener("decnet-master");
    },
    /it closed the connection after the handshake; it may not accept worker\.crt;/,
    unfitCertificate,
  ],
  [
    "without TLS",
    () => Promise.resolve(servePlainHttp()),
    /it does not speak TLS on that port; see syslog-port;/,
    usualLogPort,
  ],
];

for (const [name, start, problem, fix] of listenerCases) {
  Deno.test(`doctor reports a log listener ${name}`, () =>
    withContext(async (setup) => {
      await using listener = await start(setup);
      const flags = withFlag(setup, "syslog-port", String(listener.port));
      const found = (await examineHost(setup, { flags, settleMs: 1_000 })).of("log-listener");
      assert.equal(found.state, "warning", found.details);
      assert.match(found.details, /^Cannot send log lines to 127\.0\.0\.1:\d+: /);
      assert.match(found.details, problem);
      const text = normalise(setup, found.fix).replace(String(listener.port), "PORT");
      assert.equal(text, fix);
    }));
}

testFaults([
  {
    name: "an API that does not listen",
    plant: (setup) => ({ flags: withFlag(setup, "listen", `127.0.0.1:${freePort()}`) }),
    finding: "api: warning",
    details: /connection refused, although an agent is running/,
    fix: "restart the agent: systemctl restart decnet-agent",
  },
  {
    name: "another program in place of the API",
    plant: (setup) => ({ flags: withFlag(setup, "listen", `127.0.0.1:${setup.port}`) }),
    finding: "api: warning",
    details: /another certificate answers there/,
    fix: "find out which program it is (ss -ltnp), and stop it or set listen to another port; if " +
      "it is the agent with its old certificate, reload it: systemctl reload decnet-agent",
  },
  {
    name: "a master of another name",
    plant: (setup) => ({
      flags: without(setup, "master-name"),
      ini: "[agent]\nmaster-name = boss.test\n",
    }),
    finding: "master: failed",
    details: /does not have the name boss\.test, but DNS:master\.test/,
    fix: "check that master-host is the right host; if it is, set master-name to the name " +
      "that is shown on the master itself (set in /etc/decnet/decnet.ini line 2), then: " +
      "systemctl reload decnet-agent",
  },
  {
    name: "a master that is not the pinned one",
    plant: (setup) => ({ flags: withFlag(setup, "master-fingerprint", "0".repeat(64)) }),
    finding: "master: failed",
    details: /is not the pinned one, but has the fingerprint [0-9a-f]{64}/,
    fix: "only if the master has a new certificate: set master-fingerprint to the one that is " +
      "shown on the master itself (set by --master-fingerprint)",
  },
  {
    name: "a master that is down",
    plant: ({ master }) => master.stop(),
    finding: "master: failed",
    details: /Cannot reach the master at 127\.0\.0\.1:\d+: connection refused/,
    fix: "start the server on the master and check that it listens on port PORT: ss -ltnp",
  },
  {
    name: "a master whose name leads nowhere",
    plant: (setup) => ({ flags: withFlag(setup, "master-host", "master.invalid") }),
    finding: "master: failed",
    details: /^Cannot reach the master at master\.invalid:\d+: /,
    fix: "correct master-host, or the name servers of this host, or add the name and its " +
      "address to /etc/hosts",
  },
]);
