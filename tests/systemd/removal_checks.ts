import assert from "node:assert/strict";
import type { Check } from "./site.ts";

/** What docs/install.md and operations.md say to install, beside the units. */
const installation = `set -e
mkdir -p /var/lib/prometheus/node-exporter /usr/local/share/man/man1 /etc/bash_completion.d
for unit in decnet-agent.service decnet-agent-check.service decnet-agent-check.timer; do
  mkdir -p /etc/systemd/system/$unit.d && : > /etc/systemd/system/$unit.d/override.conf
done
decnet-agent print systemd-service > /etc/systemd/system/decnet-agent.service
for kind in service timer; do
  decnet-agent print systemd-check-$kind > /etc/systemd/system/decnet-agent-check.$kind
done
decnet-agent print cron > /etc/cron.d/decnet-agent
decnet-agent print man > /usr/local/share/man/man1/decnet-agent.1
decnet-agent print completion bash > /etc/bash_completion.d/decnet-agent
decnet-agent --once --dry-run --textfile /var/lib/prometheus/node-exporter/decnet-agent.prom || true
systemctl daemon-reload && systemctl enable --now decnet-agent decnet-agent-check.timer`;

/** The executable cannot be removed there: it is mounted from outside. */
const executable = "/usr/local/bin/decnet-agent";

/** What is left of an agent that was removed as documented; the last checks of a machine. */
export const removalChecks: readonly Check[] = [
  {
    name: "the commands in docs/install.md remove all of the agent",
    async run({ machine }) {
      await machine.shell(installation);
      const find = "find / -xdev -name '*decnet*' -not -path '/proc/*' | sort";
      const before = (await machine.shell(find)).stdout.trim().split("\n");
      await machine.shell(`(\n${await removal()}) || true`);
      const after = (await machine.shell(find)).stdout.trim().split("\n");
      assert.deepEqual(after.filter((path) => path !== executable && path !== ""), []);
      await assert.rejects(machine.run(["id", "decnet-agent"]), /no such user/);
      const { stdout } = await machine.shell("systemctl --all --plain --no-legend list-units");
      assert.doesNotMatch(stdout, /^decnet/m);
      return `${before.length} paths are gone`;
    },
  },
];

/** Returns the commands of the section "Remove". */
async function removal(): Promise<string> {
  const text = await Deno.readTextFile(new URL("../../docs/install.md", import.meta.url));
  const section = text.split(/^## /m).find((it) => it.startsWith("Remove\n")) ?? "";
  const commands = [...section.matchAll(/^```sh\n(.*?)^```/gms)].map(([, lines]) => lines);
  assert.ok(commands.length >= 3, section);
  return commands.join("");
}
