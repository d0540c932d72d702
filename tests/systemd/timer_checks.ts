import assert from "node:assert/strict";
import { FakeEngine } from "../support/engine/fake_engine.ts";
import { until } from "../support/environment.ts";
import { type Machine, user } from "./machine.ts";
import { type Check, configure, Service } from "./site.ts";

const timer = "decnet-agent-check.timer";
const unit = "decnet-agent-check.service";

/** What the timer and its service are there for, beside a loop that runs. */
export const timerChecks: readonly Check[] = [
  {
    name: "what the timer starts is a check, beside the loop, and succeeds",
    async run({ machine }) {
      const check = new Service(machine, unit);
      // Every other second instead; and 1 is for what others have left on this engine.
      await machine.run(["mkdir", "-p", `/run/systemd/system/${timer}.d`]);
      const timing = "[Timer]\nOnCalendar=\nOnCalendar=*:*:0/2\nRandomizedDelaySec=0\n";
      const dropIn = machine.path(`/run/systemd/system/${timer}.d/check.conf`);
      await Deno.writeTextFile(dropIn, timing);
      return await check.with(["SuccessExitStatus=1"], async () => {
        await machine.run(["systemctl", "start", timer]);
        try {
          const line = await until(async () => {
            const lines = (await check.journal()).match(/^DECNET .*$/gm) ?? [];
            return lines[1];
          }, { what: "two checks" });
          assert.match(line, /^DECNET (OK|WARNING) - .*\bnetworks=\d+ .*\bmaster=\d/);
          assert.equal(await check.property("Result"), "success");
          return line;
        } finally {
          await machine.run(["systemctl", "stop", timer]);
          await Deno.remove(dropIn);
        }
      });
    },
  },
];

/** Cron looks once a minute what there is to do, on a busy machine later. */
const tickMs = 240_000;
const socket = "/run/cron-check.sock";
const mails = "/run/cron-check-mails";
const file = "/etc/cron.d/decnet-agent";

/** In place of a mail server: a file for each mail. */
const sendmail = `#!/bin/sh
new=$(mktemp ${mails}/XXXXXX) && cat > "$new" && mv "$new" "$new.mail"
`;

/** What the daemon of cron makes of the printed line. */
export const cronChecks: readonly Check[] = [
  {
    name: "cron runs the printed line: no output if all is well, else a mail",
    async run({ machine, master }) {
      await machine.shell("systemctl disable --now decnet-agent");
      await machine.shell(`mkdir -m 1777 ${mails}`);
      const mailer = machine.path("/usr/sbin/sendmail");
      await Deno.writeTextFile(mailer, sendmail);
      await Deno.chmod(mailer, 0o755);
      // The real engine has what others have left there, and cannot be stopped.
      await using engine = await FakeEngine.start(machine.path(socket));
      await Deno.chmod(machine.path(socket), 0o666);
      await configure(machine, { "docker-host": `unix://${socket}` });
      const [asked, heartbeats] = [engine.requestCount, master.heartbeatCount];

      const before = await runs(machine);
      await installLine(machine);
      const hasRun = async () => {
        // Cron looks only at files that are newer, by the second, than what it knows.
        await machine.shell("touch /etc/cron.d");
        return await runs(machine) > before;
      };
      await until(hasRun, { what: "a run by cron", timeoutMs: tickMs });
      assert.ok(engine.requestCount > asked, "it has not asked the engine");
      assert.ok(master.heartbeatCount > heartbeats, "its heartbeat has not come");
      assert.deepEqual(await mailsOf(machine), []);

      await engine.stop();
      const [mail] = await until(async () => {
        const all = await mailsOf(machine);
        return all.length > 0 ? all : undefined;
      }, { what: "a mail", timeoutMs: tickMs });
      await machine.shell(`rm ${file}`);
      await configure(machine, { "docker-host": "unix:///run/docker.sock" });
      assert.match(mail!, /^To: root$/m);
      assert.match(mail!, /^Subject: .*decnet-agent --once --quiet$/m);
      const line = /^DECNET CRITICAL - .*$/m.exec(mail!)?.[0];
      assert.ok(line?.includes(socket), mail);
      return `no mail, then: ${line}`;
    },
  },
];

/** As the text itself says; then each minute, instead of every five. */
async function installLine(machine: Machine): Promise<void> {
  const { stdout: text } = await machine.run(["decnet-agent", "print", "cron"]);
  const command = /^# +(decnet-agent print cron > \S+)$/m.exec(text)?.[1];
  assert.equal(command, `decnet-agent print cron > ${file}`);
  // Where cron does not see it yet.
  await machine.shell(command.replace(file, "/root/line"));
  assert.match(await Deno.readTextFile(machine.path("/root/line")), /^\*\/5 \* \* \* \* /m);
  await machine.shell(`sed -i 's|^\\*/5 |* |' /root/line && mv /root/line ${file}`);
}

/** How many of its runs cron has ended: then their mail has been sent, too. */
async function runs(machine: Machine): Promise<number> {
  const journal = await new Service(machine, "cron.service").journal();
  return journal.split(`session closed for user ${user}`).length - 1;
}

async function mailsOf(machine: Machine): Promise<string[]> {
  const folder = machine.path(mails);
  const names = [...Deno.readDirSync(folder)].map(({ name }) => name);
  const complete = names.filter((name) => name.endsWith(".mail"));
  return await Promise.all(complete.map((name) => Deno.readTextFile(`${folder}/${name}`)));
}
