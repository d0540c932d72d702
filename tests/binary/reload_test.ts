import assert from "node:assert/strict";
import { writeAgentDirectory } from "../certificates.ts";
import { Host } from "./host.ts";
import { RunningAgent } from "./running_agent.ts";

/** A host whose agent is configured by a file, which a test writes anew. */
class FileHost {
  readonly #file: string;

  constructor(readonly host: Host) {
    this.#file = `${host.folder}/decnet.ini`;
  }

  /** What the agent is started with. */
  get flags(): string[] {
    return ["--config", this.#file, `--docker-host=unix://${this.host.socket}`];
  }

  write(values: Record<string, string | number>): void {
    const all: typeof values = {
      "state-dir": this.host.stateDirectory,
      "agent-dir": this.host.agentDirectory,
      "interval": "5s",
      "host-uuid": "host-1",
      "master-host": "127.0.0.1",
      "master-name": "master.test",
      ...values,
    };
    const lines = Object.entries(all).map(([key, value]) => `${key} = ${value}\n`);
    Deno.writeTextFileSync(this.#file, `[agent]\n${lines.join("")}`);
  }
}

/** The id that the latest beat bears. */
function uuidOf({ beats }: { beats: readonly { body: unknown }[] }): string | undefined {
  return (beats.at(-1)?.body as { host_uuid: string } | undefined)?.host_uuid;
}

Deno.test("decnet-agent reads its configuration again at SIGHUP, and beats at once by it", async () => {
  await using host = await Host.create();
  await host.startEngine();
  const { master } = await host.startMaster();
  const file = new FileHost(host);
  file.write({ "swarmctl-port": master.port });
  await using agent = new RunningAgent(file.flags);
  await agent.until(() => uuidOf(master) === "host-1");
  file.write({ "swarmctl-port": master.port, "host-uuid": "host-2", "interval": "1h" });
  agent.signal("SIGHUP");
  await agent.until(() => uuidOf(master) === "host-2");
  assert.match(agent.stderr, /msg="the configuration was read again" .*host=host-2 interval=3600s/);
  const { code } = await agent.stop();
  assert.equal(code, 0);
});

Deno.test("decnet-agent stays with its configuration at SIGHUP when the new one is wrong, and says so", async () => {
  await using host = await Host.create();
  await host.startEngine();
  const { master } = await host.startMaster();
  const file = new FileHost(host);
  const good = { "swarmctl-port": master.port };
  file.write(good);
  await using agent = new RunningAgent(file.flags);
  await agent.until(() => master.beatCount >= 1);
  const wrong: [values: Record<string, string>, says: string][] = [
    [{ interval: "never" }, "interval: 'never' (from "],
    [{ "state-dir": `${host.folder}/other` }, "another state-dir needs a restart of the agent"],
    [{ "agent-dir": `${host.folder}/other` }, "/other/ca.crt: no such file"],
  ];
  for (const [values, says] of wrong) {
    file.write({ ...good, ...values });
    agent.signal("SIGHUP");
    await agent.until(() => agent.stderr.includes(says));
    const before = master.beatCount;
    await agent.until(() => master.beatCount > before);
  }
  const stays = agent.stderr.match(/msg="the configuration stays as it was: /g);
  assert.equal(stays?.length, wrong.length);
  file.write({ ...good, "host-uuid": "host-2" });
  agent.signal("SIGHUP");
  await agent.until(() => uuidOf(master) === "host-2");
});

Deno.test("decnet-agent takes up new certificates at SIGHUP, and stays with the old when they are of no use", async () => {
  await using host = await Host.create();
  await host.startEngine();
  const { master, authority } = await host.startMaster();
  const file = new FileHost(host);
  const values = { "swarmctl-port": master.port, "interval": "1h" };
  file.write(values);
  const lastName = () => master.beats.at(-1)?.clientCommonName;
  await using agent = new RunningAgent(file.flags);
  await agent.until(() => agent.stderr.includes("msg=started"));
  agent.signal("SIGHUP");
  await agent.until(() => lastName() === "host-1");
  const other = await authority.issue({ commonName: "host-2", usage: "client" });
  await writeAgentDirectory(host.agentDirectory, authority, other);
  agent.signal("SIGHUP");
  await agent.until(() => lastName() === "host-2");
  await Deno.writeTextFile(`${host.agentDirectory}/worker.crt`, "half");
  const before = master.beatCount;
  agent.signal("SIGHUP");
  await agent.until(() => master.beatCount > before);
  assert.equal(lastName(), "host-2");
  await agent.until(() => /worker\.crt: not valid PEM.* subject=certificates/.test(agent.stderr));
});
