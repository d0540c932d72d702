import assert from "node:assert/strict";
import { carried, type Check, inventory, stick } from "./site.ts";

/** Commands of docs/runbook.md, and the lines that must follow them. */
interface Step {
  readonly commands: string;
  readonly lines: readonly string[];
}

/** Reads the blocks of a document: `sh`, some with `text` after them. */
function readSteps(document: string): Step[] {
  const blocks = document.matchAll(/^```sh\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?/gms);
  return [...blocks].map(([, commands, text = ""]) => {
    return { commands: commands!, lines: text.split("\n").filter(Boolean) };
  });
}

/** Throws unless the output has the lines in their order, or is empty where there are none. */
function compare(output: string, lines: readonly string[]): void {
  if (lines.length === 0) assert.equal(output, "");
  const left = output.split("\n");
  for (const line of lines) {
    const words = line.trim().split("…").map((it) => it.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
    const index = left.findIndex((it) => new RegExp(`^${words.join(".*")}$`).test(it.trim()));
    assert.ok(index >= 0, `there is no line "${line}" in\n${output}`);
    left.splice(0, index + 1);
  }
}

/** Puts into ~/desk what the runbook wants there: the master's files, and a signed release. */
const desk = `set -e; export HOME=/root; mv ${stick} ~/desk && mkdir ${stick} && cd ~/desk
cp "${carried}" decnet-agent-0.1.0-linux-x86_64
sha256sum decnet-agent-0.1.0-linux-x86_64 > SHA256SUMS
ssh-keygen -q -t ed25519 -N '' -f ~/key
ssh-keygen -q -Y sign -n decnet-agent -f ~/key SHA256SUMS
echo "decnet-agent namespaces=\\"decnet-agent\\" $(cat ~/key.pub)" > allowed_signers`;

/** What docs/runbook.md says, on a host with Docker. */
export const runbookChecks: readonly Check[] = [
  {
    name: "the commands of docs/runbook.md give the lines that it shows",
    async run(site) {
      const { machine } = site;
      const document = site.document({
        lans: { dmz: 0, inside: 1 },
        deckies: { web: { on: { dmz: 2, inside: 2 }, services: ["http"] } },
      });
      await Deno.writeTextFile(machine.path(`${stick}/topology.json`), document);
      await machine.shell(desk);
      const before = await inventory(machine);
      const steps = readSteps(
        await Deno.readTextFile(new URL("../../docs/runbook.md", import.meta.url)),
      );
      for (const { commands, lines } of steps) {
        if (commands === "reboot\n") {
          await machine.reboot();
          continue;
        }
        const typed = commands.replace("teardown ID", `teardown ${site.topologyId}`);
        // As in a login, the folder stays from one block to the next.
        const { code, stdout } = await machine.shell(
          `exec 2>&1; set -e; export HOME=/root; cd "$(cat /run/folder 2>/dev/null || pwd)"
          ${typed}pwd > /run/folder`,
          { accept: () => true },
        );
        assert.equal(code, 0, `${commands}${stdout}`);
        compare(stdout, lines);
      }
      assert.deepEqual(await inventory(machine), before);
      assert.deepEqual(await site.sandbox.containers(), []);
      return `${steps.length} blocks`;
    },
  },
];
