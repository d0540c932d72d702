/**
 * The agent in a process of its own, compiled as the agent is: SOCKET OPTIONS (JSON). It waits for
 * nothing but a word from the socket: after a line `wait` or `closed` it reads one byte, `c` to collect
 * garbage and wait again, `g` to go on, or anything else to stop. Each heartbeat is a line, too:
 * `heartbeat RESULT STORE DOCKER DRIFT`. It prints `closed` before the first heartbeat, and at the end,
 * when all is closed.
 */

import { standInOptions } from "../support/topology.ts";
import { Agent, type AgentOptions } from "../../agent/heartbeat.ts";
import { runLoop } from "../../agent/loop.ts";
import { Wakeup } from "../../agent/schedule.ts";
import { HostWatcher } from "../../agent/watcher.ts";
import { createLog } from "../../host/log.ts";
import { OutputWriter, standardOutput } from "../../host/output.ts";

const intervalMs = 10_000;
const options: AgentOptions = { ...JSON.parse(Deno.args[1]!), planOptions: standInOptions };
// Reading from standard input opens a descriptor more, now and then.
const control = await Deno.connect({ transport: "unix", path: Deno.args[0]! });
const stdout = new OutputWriter(standardOutput);
const stderr = new OutputWriter(Deno.stderr);
const print = (line: string) => stdout.write(`${line}\n`);
const byte = new Uint8Array(1);
const mayGoOn = async (): Promise<boolean> => {
  const word = await control.read(byte) === 1 ? String.fromCharCode(byte[0]!) : "";
  if (word !== "c") return word === "g";
  (globalThis as { gc?: () => void }).gc!();
  print("wait");
  return await mayGoOn();
};

const log = createLog((line) => void stderr.write(line));
const wakeup = new Wakeup();
const newWatcher = () =>
  new HostWatcher({ ...options, log, onChange: () => wakeup.requestCheck() });

// What the runtime opens once, and keeps, is open after this.
const warmUp = new Agent(options);
await warmUp.sendHeartbeat(new AbortController().signal);
warmUp.close();
const soon = AbortSignal.timeout(1_000);
await newWatcher().run(soon);
print("closed");
await mayGoOn();

const agent = new Agent(options);
const watcher = newWatcher();
const stop = new AbortController();
const watching = watcher.run(stop.signal);
let skippedMs = 0;
let isHeartbeatNext = false;
await runLoop(agent, new AbortController().signal, {
  intervalMs,
  log,
  wakeup,
  now: () => performance.now() + skippedMs,
  onSnapshot: (snapshot) => watcher.note(snapshot),
  onHeartbeat: ({ snapshot, result }) => {
    isHeartbeatNext = false;
    const docker = snapshot.observed.kind === "failed" ? "silent" : "seen";
    const isUnsent = result.kind === "unreachable" && result.latencyMs === null;
    const states = [snapshot.store.kind, docker, snapshot.drift.state];
    print(["heartbeat", isUnsent ? "unsent" : result.kind, ...states].join(" "));
  },
  wait: async (ms) => {
    // A long wait comes in parts, between which the host is checked.
    skippedMs += Math.max(ms, 1e-6);
    if (isHeartbeatNext) return true;
    isHeartbeatNext = true;
    print("wait");
    return await mayGoOn();
  },
});
stop.abort();
await watching;
agent.close();
print("closed");
await mayGoOn();
Deno.exit(0);
