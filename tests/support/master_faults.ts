import assert from "node:assert/strict";
import type { Heartbeat } from "../../agent/heartbeat.ts";
import { createLog } from "../../host/log.ts";
import { AgentSetup, runSkipping } from "./agent_setup.ts";
import { type IssuedCertificate, writeAgentDirectory } from "./certificates.ts";
import { flagsOf, runOn } from "./command_line.ts";
import { authority } from "./master_setup.ts";
import { TlsMaster } from "./tls_master.ts";

/** The certificate that the agents of these tests pin. */
export const pinned: IssuedCertificate = await authority.issue({
  commonName: "the master",
  dnsNames: ["master.test"],
  ipAddresses: ["127.0.0.1"],
  usage: "server",
});
const worker = await authority.issue({ commonName: "worker-1", usage: "client" });

/** A host whose master can be exchanged for another one on the same port. */
export class FaultyHost {
  constructor(readonly setup: AgentSetup, public master: TlsMaster) {}

  get port(): number {
    return this.setup.port;
  }

  /** Puts a master with another certificate in place of the one that runs. */
  async replaceMaster(certificate: IssuedCertificate): Promise<void> {
    await this.master.stop();
    this.master = await TlsMaster.start({ authority, certificate, port: this.port });
  }

  /** Puts other certificates in place of the host's own. */
  async replaceWorker(certificate: IssuedCertificate): Promise<void> {
    await writeAgentDirectory(this.setup.path, authority, certificate);
  }

  /** Restores the first certificates and a working master. */
  async heal(): Promise<void> {
    await this.replaceWorker(worker);
    await this.replaceMaster(pinned);
  }
}

/** One way in which the master, or the network to it, can fail. */
export interface MasterFault {
  readonly what: string;
  /** Causes the fault; the function it returns ends it, before the host is healed. */
  readonly strike: (host: FaultyHost) => Promise<(() => void | Promise<void>) | void>;
  /** How the loop's heartbeats end during the fault. */
  readonly result: Heartbeat["result"]["kind"];
  /** The error in the line of `--once` and in the log. */
  readonly says: RegExp;
  /** The lines of the log; by default the master's 1st and 2nd failure, and its return. */
  readonly lines?: readonly RegExp[];
  /** The start of the line of `--once`, and its exit code; by default CRITICAL and 2. */
  readonly once?: readonly [word: string, code: number];
}

/**
 * Runs a loop that sends one heartbeat before the fault, two during it and one after it, and runs
 * `--once` during it. Asserts what an operator sees of each.
 */
export async function assertOvercome(fault: MasterFault): Promise<void> {
  await using setup = await AgentSetup.create();
  const host = new FaultyHost(setup, setup.master);
  await host.heal();
  const [lines, heartbeats]: [string[], Heartbeat[]] = [[], []];
  const { fingerprint } = pinned;
  const master = { host: "127.0.0.1", port: setup.port, name: "master.test", fingerprint };
  const agent = setup.newAgent({ master });
  let end: (() => void | Promise<void>) | void;
  let once = { code: -1, stdout: "", stderr: "" };
  try {
    await runSkipping(agent, {
      log: createLog((line) => lines.push(line)),
      onHeartbeat: (heartbeat) => heartbeats.push(heartbeat),
      before: async (heartbeat) => {
        if (heartbeat === 2) end = await fault.strike(host);
        if (heartbeat === 3) {
          once = await runOn(["--once", ...flagsOf(setup), `--master-fingerprint=${fingerprint}`]);
        }
        if (heartbeat === 4) {
          await end?.();
          await host.heal();
        }
        return heartbeat <= 4;
      },
    });
  } finally {
    agent.close();
    await host.master.stop();
  }
  const { result, says } = fault;
  assert.deepEqual(
    heartbeats.map(({ result }) => result.kind),
    ["delivered", result, result, "delivered"],
  );
  const [word, code] = fault.once ?? ["CRITICAL", 2];
  assert.match(once.stdout, says);
  assert.ok(once.stdout.startsWith(`DECNET ${word} - `), once.stdout);
  assert.equal(once.code, code);
  assert.equal(once.stderr, "");
  const failure = (times: number) => new RegExp(`${says.source}.* failures=${times}$`);
  const expected = fault.lines ?? [
    failure(1),
    failure(2),
    /^level=info msg="the master accepts heartbeats again" failures=2$/,
  ];
  assert.equal(lines.length, expected.length, lines.join(""));
  for (const [index, line] of lines.entries()) {
    // The log escapes quotation marks.
    assert.match(line.trimEnd().replaceAll('\\"', '"'), expected[index]!);
  }
}
