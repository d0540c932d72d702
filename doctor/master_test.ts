import assert from "node:assert/strict";
import { writeAgentDirectory } from "../tests/support/certificates.ts";
import {
  examineHost,
  testFaults,
  unhurried,
  withContext,
  withFlag,
  without,
} from "../tests/support/doctor_setup.ts";
import { authority, rogueAuthority } from "../tests/support/master_setup.ts";

testFaults([
  {
    name: "a master of another name",
    plant: (setup) => ({
      flags: without(setup, "master-name"),
      ini: "[agent]\nmaster-name = boss.test\n",
    }),
    check: "master-tls",
    state: "failed",
    details: /does not bear the name boss\.test, but DNS:master\.test/,
    fix: () => "check that master-host is the right master, then master-name",
    code: 2,
  },
  {
    name: "a master that is not the pinned one",
    plant: (setup) => ({ flags: withFlag(setup, "master-fingerprint", "0".repeat(64)) }),
    check: "master-tls",
    state: "failed",
    details: /is not the pinned one, but has the fingerprint [0-9a-f]{64}/,
    fix: () => "compare master-fingerprint with the fingerprint that is shown on the master itself",
    code: 2,
  },
  {
    name: "a master of another authority",
    plant: async ({ path }) => {
      await Deno.writeTextFile(`${path}/ca.crt`, rogueAuthority.certificatePem);
    },
    check: "master-tls",
    state: "failed",
    details: /its certificate is not signed by ca\.crt/,
    fix: ({ path }) => `install -m 644 BUNDLE/ca.crt ${path}/`,
    code: 2,
  },
  {
    name: "a master that refuses worker.crt",
    plant: async ({ path }) => {
      const worker = await rogueAuthority.issue({ commonName: "worker-1", usage: "client" });
      await writeAgentDirectory(path, authority, worker);
      return unhurried;
    },
    check: "master-tls",
    state: "failed",
    details: /worker\.crt/,
    fix: ({ path }) => `install -m 600 BUNDLE/worker.crt BUNDLE/worker.key ${path}/`,
    code: 2,
  },
  {
    name: "a master that is down",
    plant: ({ master }) => master.stop(),
    check: "master-connection",
    state: "failed",
    details: /Cannot reach the master at 127\.0\.0\.1:\d+: nobody listens there/,
    fix: ({ port }) => `on the master: ss -ltnp 'sport = :${port}' must show its server; start it`,
    code: 2,
  },
  {
    name: "a master whose name leads nowhere",
    plant: (setup) => ({ flags: withFlag(setup, "master-host", "master.invalid") }),
    check: "master-name",
    state: "failed",
    details: /^master\.invalid: /,
    fix: () => "echo 'ADDRESS master.invalid' >> /etc/hosts",
    code: 2,
  },
]);

Deno.test("doctor tells how long the master's certificate is valid as it tells all other times", () =>
  withContext(async (setup) => {
    const { state, details } = (await examineHost(setup)).of("master-tls");
    assert.equal(state, "ok", details);
    assert.match(details, /, valid to \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ;/);
  }));
