import assert from "node:assert/strict";
import type { Machine } from "./machine.ts";
import {
  type Account,
  carried,
  type Check,
  installLine,
  inventory,
  type Site,
  stick,
  worker,
} from "./site.ts";

const installed = "/usr/local/bin/decnet-agent";
const unit = "/etc/systemd/system/decnet-agent.service";
const certificates = "/etc/decnet/agent";

/** Installs again, by any executable; returns the steps that are printed. */
async function installAgain(machine: Machine, line = installLine): Promise<string[]> {
  const { stdout } = await machine.shell(line);
  return stdout.split("\n\n")[0]!.split("\n");
}

/** Runs a script that must refuse; returns what it says, after checking that nothing has changed. */
async function refusal({ machine, service }: Site, line: string): Promise<string> {
  const before = [...await inventory(machine), await service.property("ActiveState")];
  const { code, stdout, stderr } = await machine.shell(line, { accept: () => true });
  assert.deepEqual([code, stdout], [1, ""], stdout + stderr);
  assert.deepEqual([...await inventory(machine), await service.property("ActiveState")], before);
  return stderr.trim();
}

/**
 * Installs the agent on a bare machine, and then runs the commands that are printed at the end, in one
 * paste. Returns the output of the script.
 */
async function installOn(site: Site, shell: string): Promise<string> {
  const { machine } = site;
  site.bare = await inventory(machine);
  const { stdout } = await machine.shell(`"${carried}" print install | ${shell}`);
  const next = stdout.slice(stdout.indexOf("\n\n") + 2).split("\n\n")
    .filter((it) => /^(install|mkdir) -/.test(it));
  await machine.shell(`set -e; cd ${stick}\n${next.join("\n")}`);
  return stdout;
}

/** The commands in the comments of the printed units. */
const timer = `set -e
for kind in service timer; do
  decnet-agent print systemd-check-$kind > /etc/systemd/system/decnet-agent-check.$kind
done
systemctl daemon-reload`;

/** The first check of a machine with Docker: the others need what it installs. */
export const firstCheck: Check = {
  name: "print install takes a bare host to a heartbeat in one paste",
  async run(site) {
    await installOn(site, "sh");
    const { sender } = await site.heartbeat("the engine", (it) => it.observed.error === undefined);
    assert.equal(sender, worker);
    await site.machine.shell(timer);
    return `${sender} has reported`;
  },
};

/** On a host with Debian 13's Podman, and without Docker. */
export const podmanChecks: readonly Check[] = [
  {
    name: "print install works with Podman's socket, after a reboot too, and under busybox",
    async run(site) {
      const { machine } = site;
      await machine.shell("systemctl --quiet enable podman.socket");
      const says = await installOn(site, "busybox sh");
      assert.match(says, /^There is no group docker\. To use Podman, /m);
      await machine.shell("! grep SupplementaryGroups= /etc/systemd/system/decnet-agent.service");
      const isWanted = ({ observed }: Account) => observed.containers !== undefined;
      assert.equal((await site.heartbeat("the engine", isWanted)).sender, worker);
      await machine.reboot();
      await site.heartbeat("the engine after a reboot", isWanted);
      const again = await installAgain(machine, `"${carried}" print install | busybox sh`);
      assert.equal(again.at(-1), "nothing had to change");
      await machine.shell(`"${carried}" print uninstall | busybox sh -s -- --purge`);
      assert.deepEqual(await inventory(machine), site.bare);
      const { stdout } = await machine.shell("stat -c '%G %a' /run/podman/podman.sock /run/podman");
      assert.equal(stdout, "root 660\nroot 700\n");
      return (await machine.run(["podman", "--version"])).stdout.trim();
    },
  },
];

/** What the script of `print install` does on a host where the agent runs. */
export const installChecks: readonly Check[] = [
  {
    name: "print install, run again, changes nothing and says so",
    async run({ machine, service }) {
      await installAgain(machine);
      const before = [await inventory(machine), await service.property("MainPID")];
      // Also by the executable that it has installed.
      for (const line of [installLine, "decnet-agent print install | sh"]) {
        const steps = await installAgain(machine, line);
        assert.equal(steps.pop(), "nothing had to change");
        assert.deepEqual(steps.filter((it) => !/^(unchanged|left alone): /.test(it)), []);
        assert.deepEqual([await inventory(machine), await service.property("MainPID")], before);
      }
      return "nothing had to change";
    },
  },
  {
    name: "print install is the upgrade: it replaces what differs, and restarts",
    async run({ machine, service }) {
      const pid = await service.property("MainPID");
      await machine.shell(
        `echo old > ${installed}.old && mv ${installed}.old ${installed}
        sed -i 's/^Restart=.*/Restart=no/' ${unit} && echo '# own' >> /etc/decnet/decnet.ini`,
      );
      const steps = await installAgain(machine);
      for (const path of [installed, unit]) {
        const kept = `installed ${path}, keeping the old one as ${path}.previous`;
        assert.ok(steps.includes(kept), steps.join("\n"));
      }
      assert.equal(steps.at(-1), "restarted decnet-agent.service");
      assert.notEqual(await service.property("MainPID"), pid);
      assert.equal(await service.property("Restart"), "on-failure");
      await machine.shell(
        `cmp "${carried}" ${installed} && grep -qx old ${installed}.previous &&
        grep -qx Restart=no ${unit}.previous && tail -n 1 /etc/decnet/decnet.ini | grep -qx '# own'`,
      );
      // The other way round, as a rollback.
      await machine.shell(
        `mv ${installed} ${installed}.previous && echo new > ${installed}`,
      );
      await installAgain(machine, `${installed}.previous print install | sh`);
      await machine.shell(`cmp "${carried}" ${installed} && grep -qx new ${installed}.previous`);
      // As after a run that was interrupted before it restarted the service.
      await machine.shell(`cp "${carried}" ${installed}.new && mv ${installed}.new ${installed}`);
      assert.equal((await installAgain(machine)).at(-1), "restarted decnet-agent.service");
      return "executable and unit, and back";
    },
  },
  {
    name: "print install puts owners and modes right, and follows no link",
    async run({ machine }) {
      await machine.shell(
        `echo secret > /root/secret && chmod 600 /root/secret
        cd ${certificates} && chown -h decnet-agent . && mv worker.crt /root/worker.crt
        ln -s /root/secret worker.crt && chmod 644 worker.key && chmod 600 ca.crt
        chown root worker.key ca.crt; chown -R root: /var/lib/decnet-agent
        groupadd docker-users && usermod -G docker-users decnet-agent`,
      );
      const steps = await installAgain(machine);
      const { stdout } = await machine.shell(
        `stat -c '%n %a %U' /root/secret ${certificates} ${certificates}/*.key \\
        ${certificates}/ca.crt /var/lib/decnet-agent /var/lib/decnet-agent/agent.lock`,
      );
      await machine.shell(`mv /root/worker.crt ${certificates}/ && rm /root/secret
        groupdel docker-users`);
      assert.ok(steps.includes("added user decnet-agent to group docker"), steps.join("\n"));
      assert.ok(steps.includes(`left alone: ${certificates}/worker.crt, a link`));
      assert.deepEqual(stdout.trim().split("\n"), [
        "/root/secret 600 root",
        `${certificates} 755 root`,
        `${certificates}/worker.key 600 decnet-agent`,
        `${certificates}/ca.crt 644 root`,
        "/var/lib/decnet-agent 700 decnet-agent",
        "/var/lib/decnet-agent/agent.lock 600 decnet-agent",
      ]);
      return steps.filter((it) => it.startsWith("changed")).join("; ");
    },
  },
  {
    name: "print install and print uninstall do nothing when they are cut off",
    async run(site) {
      const says = await refusal(
        site,
        `cd /root && for what in install uninstall; do
          "${carried}" print $what > script
          for count in $(seq 1 $(($(wc -l < script) - 1))); do
            head -n $count script | sh >> out 2>/dev/null </dev/null
          done
        done; cat out; rm script out; exit 1`,
      );
      return says || "no prefix of the lines does anything";
    },
  },
  {
    name: "print install refuses where it cannot work, and says what to do",
    async run(site) {
      const script = `"${carried}" print install`;
      const cases: [line: string, says: string][] = [
        [
          `${script} | setpriv --reuid=decnet-agent --clear-groups sh`,
          "only root can install it: decnet-agent print install | sudo sh",
        ],
        [
          `${script} > /root/script; unshare --mount sh -c 'mount -t tmpfs tmpfs /run/systemd
          sh /root/script'; code=$?; rm /root/script; exit $code`,
          "systemd does not run here. Use cron: decnet-agent print cron",
        ],
        [
          `mv ${unit} /root/unit; ln -s /dev/null ${unit}; ${script} | sh; code=$?
          mv /root/unit ${unit}; exit $code`,
          "its unit is masked: systemctl unmask decnet-agent",
        ],
      ];
      for (const [line, says] of cases) {
        assert.equal(await refusal(site, line), `decnet-agent: ${says}`);
      }
      return cases.map(([, says]) => says).join("; ");
    },
  },
];

/** Runs the script of `print uninstall` with other answers of `state --json`, line by line. */
function uninstallWith(...answers: readonly string[]): string {
  return `cat > /root/fake <<'END'
#!/bin/sh
head -n 1 /root/answers | tr '|' '\\n'
sed -i 1d /root/answers
END
chmod +x /root/fake
printf '%s\\n' ${answers.map((it) => `'${it}'`).join(" ")} > /root/answers
"${carried}" print uninstall | sed 's|^program=.*|program=/root/fake|' | sh
code=$?; rm /root/fake /root/answers; exit $code`;
}

/** What the script of `print uninstall` removes, and when it refuses; the last checks of a machine. */
export const removalChecks: readonly Check[] = [
  {
    name: "print uninstall refuses while a topology is applied, and changes nothing",
    async run(site) {
      const { status, body } = await site.push(
        site.document({ lans: { dmz: 0 }, deckies: { web: { on: { dmz: 2 } } } }),
      );
      assert.equal(status, 200, JSON.stringify(body));
      const first = `First: decnet-agent teardown ${site.topologyId}`;
      const applied = `decnet-agent: topology ${site.topologyId} is applied. ${first}`;
      assert.equal(await refusal(site, `"${carried}" print uninstall | sh`), applied);
      const says = await refusal(site, `"${carried}" print uninstall | sh -s -- --purge --all`);
      assert.match(says, /--all is none of --keep-topology and --purge$/);
      return first;
    },
  },
  {
    name: "print uninstall starts the service again when it must not be removed",
    async run(site) {
      const answer = (id: string) => `  "topology_id": ${id},`;
      const pushed = await refusal(site, uninstallWith(answer("null"), answer('"t-1"')));
      assert.match(pushed, /topology t-1 is applied/);
      const unknown = await refusal(site, uninstallWith("null"));
      assert.match(unknown, /cannot tell which topology is applied .*: decnet-agent state$/);
      const drift = '    "unexpected": [|        "name": "decnet_t_x_y",|    ]';
      const lost = await refusal(site, uninstallWith(`${answer("null")}|${drift}`));
      assert.match(lost, /not known to the agent .*:\n decnet_t_x_y$/);
      const hostile = await refusal(site, uninstallWith(answer('"x; rm -rf /"')));
      assert.equal(hostile, unknown);
      return pushed;
    },
  },
  {
    name: "print uninstall --keep-topology keeps it, for an agent that is installed again",
    async run(site) {
      const { machine, service, sandbox } = site;
      const running = async () => (await sandbox.containers()).map(({ Id, State }) => [Id, State]);
      const containers = await running();
      assert.notDeepEqual(containers, []);
      const { stdout } = await machine.shell(
        `"${carried}" print uninstall | sh -s -- --keep-topology`,
      );
      assert.match(stdout, /^kept .*, which are root's now$/m);
      const left = await inventory(machine);
      assert.deepEqual(left.filter((it) => /decnet-agent \S+ $/.test(it)), []);
      assert.ok(left.some((it) => it.startsWith(`${certificates}/worker.key -rw------- root`)));
      assert.deepEqual(await running(), containers);
      await installAgain(machine);
      await service.until("StatusText", (text) => text.includes(site.topologyId));
      await site.takeDown();
      return `${containers.length} containers ran on`;
    },
  },
  {
    name: "print uninstall --purge leaves a bare host",
    async run({ machine, bare }) {
      const metrics = "/var/lib/prometheus/decnet-agent.prom";
      await machine.shell(
        `set -e; mkdir ${metrics.replace(/\/[^/]*$/, "")} && : > ${metrics}
        for unit in decnet-agent.service decnet-agent-check.service decnet-agent-check.timer; do
          mkdir -p /etc/systemd/system/$unit.d && : > /etc/systemd/system/$unit.d/override.conf
        done
        printf '[Service]\\nEnvironment=DECNET_TEXTFILE=${metrics}\\n' \\
          > /etc/systemd/system/decnet-agent.service.d/override.conf
        decnet-agent print cron > /etc/cron.d/decnet-agent
        ${timer}
        systemctl enable --now decnet-agent-check.timer`,
      );
      const folders = "agent-dir = /etc/decnet/agent\\nstate-dir = /srv/decnet\\n";
      await machine.shell(`printf '[agent]\\n${folders}' > /etc/decnet/decnet.ini`);
      const { stdout } = await machine.shell(`"${carried}" print uninstall | sh -s -- --purge`);
      assert.deepEqual(stdout.match(/^left alone: .*$/gm), ["left alone: /srv/decnet"]);
      await machine.shell(`rmdir ${metrics.replace(/\/[^/]*$/, "")}`);
      assert.deepEqual(await inventory(machine), bare);
      const units = await machine.shell("systemctl --all --plain --no-legend list-units");
      assert.doesNotMatch(units.stdout, /^decnet/m);
      await machine.shell(`"${carried}" print uninstall | sh`);
      assert.deepEqual(await inventory(machine), bare);
      return `${stdout.trim().split("\n").length} things are gone`;
    },
  },
];
