import assert from "node:assert/strict";
import { service, testFaults, withFlag, without } from "./doctor_fault.ts";
import { examineHost, unitFile, withPatient } from "./doctor_setup.ts";

const all = "BUNDLE/ca.crt BUNDLE/worker.crt BUNDLE/worker.key";
const packaged = { [unitFile]: "[Service]\nUser=decnet-agent\n" };

testFaults([
  {
    name: "a folder of certificates that does not exist",
    plant: (setup) => ({ flags: withFlag(setup, "agent-dir", `${setup.path}/none`) }),
    check: "certificates",
    state: "failed",
    saw: /none\/ca\.crt: no such file/,
    mend: ({ path }) => `install -D -m 600 -t ${path}/none ${all}`,
    code: 3,
  },
  {
    name: "an absent key of the service's user",
    plant: async ({ path }) => {
      await Deno.remove(`${path}/worker.key`);
      return { files: packaged };
    },
    check: "certificates",
    state: "failed",
    saw: /worker\.key: no such file/,
    mend: ({ path }) => `install -o decnet-agent -m 600 BUNDLE/worker.key ${path}/`,
    code: 3,
  },
  {
    name: "a host without the unit and without its user",
    plant: async ({ path }) => {
      await Deno.remove(`${path}/agent.lock`);
      return { files: { [unitFile]: null, "/etc/passwd": "root:x:0:0:root:/root:/bin/sh\n" } };
    },
    check: "service",
    state: "warning",
    saw: /is not installed, and no loop runs/,
    mend: () =>
      "useradd --system --user-group --groups docker --home-dir /nonexistent --no-create-home " +
      "--shell /usr/sbin/nologin decnet-agent && decnet-agent print systemd-service > " +
      "/etc/systemd/system/decnet-agent.service && systemctl enable --now decnet-agent",
    code: 1,
  },
]);

Deno.test("doctor sends the certificates where the service finds them, not into a home", () =>
  withPatient(async (setup) => {
    const flags = without(setup, "agent-dir");
    const installing = `install -D -o decnet-agent -m 600 -t /etc/decnet/agent ${all}`;
    const active = `${installing} && systemctl restart decnet-agent`;
    for (const uid of [0, service]) {
      const report = await examineHost(setup, { flags, uid, files: packaged });
      assert.equal(report.of("certificates").mend, active);
    }
    const files = { [unitFile]: null, "/run/systemd/units/invocation:decnet-agent.service": null };
    const report = await examineHost(setup, { flags, uid: service, files });
    const own = `install -D -o decnet-agent -m 600 -t /.decnet/agent ${all}`;
    assert.equal(report.of("certificates").mend, own);
  }));
