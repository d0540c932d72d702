import assert from "node:assert/strict";
import { endCommand } from "../doctor/checks/lock.ts";
import { testFaults, withFlag } from "./doctor_fault.ts";
import { examineHost, lockText, unitFile, withPatient } from "./doctor_setup.ts";

Deno.test("doctor finds nothing wrong where nothing is wrong", () =>
  withPatient(async (setup) => {
    const report = await examineHost(setup);
    assert.deepEqual([...report.names("failed"), ...report.names("warning")], []);
    assert.deepEqual(report.names("skipped"), ["api", "textfile"]);
    assert.equal(report.code, 0);
  }));

/** A port that nobody has at this moment. */
function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

testFaults([
  {
    name: "a loop that is not the service's",
    plant: () => ({ files: { "/run/systemd/units/invocation:decnet-agent.service": null } }),
    check: "lock",
    state: "warning",
    saw:
      /none of decnet-agent\.service: another loop.*names process \d+ since 2026-11-22T18:00:00\.000Z/,
    mend: ({ path }) => endCommand(`${path}/agent.lock`),
    code: 1,
  },
  {
    name: "a service that is not active",
    plant: async ({ path }) => {
      await Deno.remove(`${path}/agent.lock`);
      return { files: { "/run/systemd/units/invocation:decnet-agent.service": null } };
    },
    check: "service",
    state: "warning",
    saw: /decnet-agent\.service is installed, but not active/,
    mend: () => "systemctl enable --now decnet-agent",
    code: 1,
  },
  {
    name: "a service whose user was not made",
    plant: () => ({
      files: {
        [unitFile]: "[Service]\nUser=decnet-agent\n",
        "/etc/passwd": "root:x:0:0:root:/root:/bin/sh\n",
      },
    }),
    check: "service",
    state: "warning",
    saw: /runs as decnet-agent, and there is no such user/,
    mend: () =>
      "useradd --system --user-group --groups docker --home-dir /nonexistent --no-create-home " +
      "--shell /usr/sbin/nologin decnet-agent",
    code: 1,
  },
  {
    name: "a host without the service",
    plant: async ({ path }) => {
      await Deno.remove(`${path}/agent.lock`);
      return { files: { [unitFile]: null } };
    },
    check: "service",
    state: "warning",
    saw: /is not installed, and no loop runs/,
    mend: () =>
      "decnet-agent print systemd-service > /etc/systemd/system/decnet-agent.service && " +
      "systemctl enable --now decnet-agent",
    code: 1,
  },
  {
    name: "an apply that does not end",
    plant: ({ path }) =>
      Deno.writeTextFile(`${path}/apply.lock`, lockText.replace("2026-11", "2026-01")),
    check: "lock",
    state: "warning",
    saw: /under way for over 10 minutes/,
    mend: ({ path }) => endCommand(`${path}/apply.lock`),
    code: 1,
  },
  {
    name: "another loop in another folder",
    plant: async ({ path }) => {
      await Deno.mkdir(`${path}/other`);
      await Deno.writeTextFile(`${path}/other/agent.lock`, lockText);
      return { otherStateDirectories: [path, `${path}/other`] };
    },
    check: "other-agents",
    state: "warning",
    saw: /another loop: .*\/other\/agent\.lock names process \d+ since/,
    mend: ({ path }) => endCommand(`${path}/other/agent.lock`),
    code: 1,
  },
  {
    name: "an API that does not listen",
    plant: (setup) => ({ flags: withFlag(setup, "listen", `127.0.0.1:${freePort()}`) }),
    check: "api",
    state: "warning",
    saw: /nobody listens there, although a loop runs/,
    mend: () => "systemctl restart decnet-agent",
    code: 1,
  },
  {
    name: "an address that is not this host's",
    plant: (setup) => ({ flags: withFlag(setup, "listen", "192.0.2.1:8765") }),
    check: "api",
    state: "warning",
    saw: /192\.0\.2\.1:8765: this host has no such address/,
    mend: () => "start it with --listen=0.0.0.0:8765",
    code: 1,
  },
  {
    name: "another program in place of the API",
    plant: (setup) => ({ flags: withFlag(setup, "listen", `127.0.0.1:${setup.port}`) }),
    check: "api",
    state: "warning",
    saw: /somebody with another certificate listens there/,
    mend: ({ port }) => `start it with --listen=127.0.0.1:${port + 1}`,
    code: 1,
  },
]);
