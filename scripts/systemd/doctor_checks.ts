import assert from "node:assert/strict";
import type { Check } from "./check.ts";
import { Doctor } from "./doctor.ts";
import { asUser, user } from "./user.ts";

/** What must be in order on a host where the agent was installed by what it prints. */
const mustBeOk = ["configuration", "state-dir", "store", "lock", "socket", "engine"]
  .concat("certificates", "authority", "validity", "master-name", "master-connection")
  .concat("master-tls", "api", "service", "other-agents");

/** What the doctor says of a service that runs. */
export const doctorChecks: readonly Check[] = [
  ...[true, false].map((isRoot): Check => ({
    name: `doctor finds what runs in order, for ${isRoot ? "root" : "the service's user"}`,
    async run({ machine, service }) {
      await machine.shell("systemctl enable --now decnet-agent");
      const doctor = new Doctor(machine, isRoot);
      const { code, findings } = await doctor.examine();
      const states = new Map(findings.map(({ name, state }) => [name, state]));
      for (const name of mustBeOk) assert.equal(states.get(name), "ok", JSON.stringify(findings));
      // 1 is for what others have left on this engine.
      assert.ok(code <= 1, JSON.stringify(findings));
      const saw = (name: string) => findings.find((it) => it.name === name)!.saw;
      const pid = await service.property("MainPID");
      assert.match(saw("lock"), new RegExp(`/agent\\.lock names process ${pid} since `));
      const folder = `/var/lib/decnet-agent: owner ${user}, group ${user}, mode 0700`;
      assert.equal(saw("state-dir"), folder);
      assert.match(saw("socket"), /docker\.sock: owner .* it takes connections$/);
      assert.match(saw("service"), /decnet-agent\.service is active and starts with the host/);
      const heads = findings.map(({ name, state }) => `${name} ${state}`);
      assert.deepEqual(
        (await doctor.heads()).map((line) => line.split(/ +/, 2).join(" ")),
        heads,
      );
      return `${mustBeOk.length} checks are ok, process ${pid} holds the lock`;
    },
  })),
  {
    name: "doctor knows the group of the socket that only the unit gives, and so does not complain",
    async run(site) {
      const { machine, service } = site;
      await machine.shell(`gpasswd --delete ${user} docker && systemctl restart decnet-agent`);
      await site.beat("the engine", ({ observed }) => observed.error === undefined);
      assert.equal((await new Doctor(machine).find("socket")).state, "ok");
      const pid = await service.property("MainPID");
      // A login of that user has not got it, and may.
      const ofUser = new Doctor(machine, false);
      const refused = await ofUser.find("socket");
      assert.equal(refused.state, "failed", refused.saw);
      assert.match(refused.saw, /^permission denied: user decnet-agent is not in group docker; /);
      assert.equal(refused.mend, `usermod -aG docker ${user}`);
      await ofUser.mend(refused);
      await asUser(machine, ["decnet-agent", "--once", "--dry-run"], { accept: (it) => it <= 1 });
      return `process ${pid} asks the engine; ${refused.mend}`;
    },
  },
];
