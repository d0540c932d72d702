import { reload, testFaults, without } from "./doctor_fault.ts";

testFaults([
  {
    name: "a wrong value in the ini file",
    plant: () => ({ ini: "# ours\n[agent]\ninterval = 5 minutes\n" }),
    check: "configuration",
    state: "failed",
    saw: /interval: '5 minutes' \(from \/etc\/decnet\/decnet\.ini line 3\) must be a time from 5s/,
    mend: () => `vi +3 /etc/decnet/decnet.ini${reload}`,
    code: 3,
  },
  {
    name: "an ini file that cannot be understood",
    plant: () => ({ ini: "[agent]\nmaster\n" }),
    check: "configuration",
    state: "failed",
    saw: /Cannot read \/etc\/decnet\/decnet\.ini: line 2 is neither/,
    mend: () => `vi +2 /etc/decnet/decnet.ini${reload}`,
    code: 3,
  },
  {
    name: "an unknown key in the ini file",
    plant: () => ({ ini: "[agent]\nmaster-hosts = m\n" }),
    check: "configuration",
    state: "warning",
    saw: /line 2: unknown key 'master-hosts' is ignored/,
    mend: () => `vi +2 /etc/decnet/decnet.ini${reload}`,
    code: 1,
  },
  {
    name: "a wrong value beside a service that does not run",
    plant: () => ({
      ini: "[agent]\ninterval = 5 minutes\n",
      files: { "/run/systemd/units/invocation:decnet-agent.service": null },
    }),
    check: "configuration",
    state: "failed",
    saw: /interval: /,
    mend: () => "vi +2 /etc/decnet/decnet.ini",
    code: 3,
  },
  {
    name: "a missing host-uuid",
    plant: (setup) => ({ flags: without(setup, "host-uuid"), ini: "[agent]\n" }),
    check: "configuration",
    state: "failed",
    saw: /host-uuid: required with master-host, but not set/,
    mend: () => `sed -i '/^\\[agent\\]/a host-uuid = UUID' /etc/decnet/decnet.ini${reload}`,
    code: 3,
  },
]);
