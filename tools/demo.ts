/** The real agent at work among stand-ins, or on this machine's engine: `deno task demo`. */

import { configure } from "../cli/config.ts";
import { run } from "../cli/main.ts";
import { findSocket } from "../docker/observe.ts";
import { OutputWriter, standardOutput } from "../host/output.ts";
import type { HeartbeatBody } from "../agent/heartbeat.ts";
import { until } from "../tests/support/environment.ts";
import { worker as neighbour } from "../tests/support/api_setup.ts";
import { loadDocument, standInOptions } from "../tests/support/topology.ts";
import { driftKinds } from "../topology/drift.ts";
import { DemoAgent, DemoMaster, demoTerminal, Host, Narrator, type Setting } from "./demo_stage.ts";

const usage = `usage: deno task demo [--apply]

Shows how the agent applies what its master pushes, and what the master receives when a container,
the engine or the master itself fails. The agent is the real one; host and master are stand-ins. It
takes about ten seconds, changes nothing on this host, and leaves nothing behind.

  --apply   applies a small topology on this host's own engine, repairs it and tears it down; all
            that is made has names that only the demo uses, and is removed at the end
`;

const introduction =
  "decnet-agent turns a host into a honeypot: it runs the decoys that a master pushes, and reports " +
  "what runs in heartbeats, every second here and every 30 s in real life. Drift is how what runs " +
  "differs from what was applied. The agent is the real one, the master is a stand-in.";

async function main(args: readonly string[]): Promise<number> {
  const line = args.join(" ");
  const [stdout, stderr] = [new OutputWriter(standardOutput), new OutputWriter(Deno.stderr)];
  if (line === "--help") {
    stdout.write(usage);
    return 0;
  }
  if (line !== "" && line !== "--apply") {
    stderr.write(`demo: cannot understand '${line}'\n\n${usage}`);
    return 2;
  }
  const narrator = new Narrator((text) => void stdout.write(text));
  const ending = endingController();
  try {
    const folder = await Deno.makeTempDir({ prefix: "decnet-demo-" });
    await perform(line === "--apply", { folder, narrator, ending });
    narrator.title("Done; all that was made is removed. For more of it: deno task demo --help");
    return 0;
  } catch (error) {
    const [first, failedCleanUp] = error instanceof SuppressedError
      ? [error.suppressed, error.error]
      : [error, null];
    const cause = ending.signal.aborted ? ending.signal.reason : first;
    for (const it of [cause, failedCleanUp]) {
      if (it) stderr.write(`demo: ${it.message ?? "interrupted"}\n`);
    }
    return typeof cause === "number" && !failedCleanUp ? cause : 1;
  }
}

/** A controller that a signal aborts with its exit code, and an unexpected error with itself. */
function endingController(): AbortController {
  const ending = new AbortController();
  for (const [signal, code] of [["SIGINT", 130], ["SIGTERM", 143], ["SIGHUP", 129]] as const) {
    Deno.addSignalListener(signal, () => ending.abort(code));
  }
  addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    ending.abort(event.reason);
  });
  return ending;
}

type Setup = { readonly master: DemoMaster; readonly agent: DemoAgent };

/** Plays one of the stories; at its end all that was started is stopped, and the folder removed. */
async function perform(isReal: boolean, setting: Setting): Promise<void> {
  const { folder, narrator, ending } = setting;
  await using stack = new AsyncDisposableStack();
  stack.defer(() => Deno.remove(folder, { recursive: true }));
  narrator.tell(introduction);
  const open = async (host: Host): Promise<Setup> => {
    const master = stack.use(new DemoMaster(narrator));
    await master.start();
    return { master, agent: stack.use(new DemoAgent(setting, host, master.port)) };
  };
  if (isReal) {
    const { sockets } = configure(new Map(), null, demoTerminal()).agent;
    const host = stack.use(await Host.real(findSocket(sockets)));
    const names = `${host.document.prefix}… and the image ${host.image}`;
    narrator.tell(`The host is this machine, where the demo makes ${names}, and nothing else.`);
    const setup = await open(host);
    await host.makeImage();
    await applyAndRepair(setup, host);
    await tearDown(setup, host);
  } else {
    narrator.tell("The host is a stand-in; its containers only seem to be there.");
    const host = stack.use(await Host.standIn(folder));
    const setup = await open(host);
    await applyAndRepair(setup, host);
    await loseEngine(setup, host);
    await loseMaster(setup);
    await runCommand(setup, "--once", [0]);
    await tearDown(setup, host);
  }
  ending.signal.throwIfAborted();
}

type Topology = NonNullable<HeartbeatBody["topology"]>;

/** Waits until the last heartbeat says something. */
async function untilSaid({ master, agent }: Setup, what: string, is: (it: Topology) => boolean) {
  const { signal } = agent.setting.ending;
  await until(() => {
    const topology = master.received.at(-1)?.topology;
    return !!topology && is(topology);
  }, { what: `a heartbeat ${what}`, signal });
}

/** Whether the document is applied without drift; what belongs to others does not count. */
function isWell({ document: { topology, prefix } }: Host): (it: Topology) => boolean {
  return ({ topology_id: id, drift }) => {
    if (id !== topology.id || drift.state === "unknown") return false;
    const items = drift.state === "drifted" ? driftKinds.flatMap((kind) => drift[kind]) : [];
    return !items.some(({ name }) => name.startsWith(prefix));
  };
}

async function push({ master, agent }: Setup, { document }: Host): Promise<void> {
  master.narrator.say("master", `pushes topology '${document.topology.name}' over mutual TLS`);
  await agent.call("/topology/apply", bodyOf(document));
}

function bodyOf({ text, versionHash }: Host["document"]): string {
  return `{"hydrated":${text},"version_hash":"${versionHash}"}`;
}

async function runCommand({ master, agent }: Setup, name: string, codes: number[]): Promise<void> {
  const { narrator } = master;
  narrator.title(`decnet-agent ${name}`);
  let output = "";
  const stdout = (text: string) => {
    output += text;
    return null;
  };
  const stdoutIsTerminal = () => name === "state";
  const code = await run([name, ...agent.flags], demoTerminal({ stdout, stdoutIsTerminal }));
  if (name === "state") narrator.write(output);
  else narrator.tell(output);
  narrator.tell(`exit code ${code}`);
  if (!codes.includes(code)) throw new Error(`the exit code of ${name} was ${code}`);
}

async function applyAndRepair(setup: Setup, host: Host): Promise<void> {
  const { narrator } = setup.master;
  narrator.title("A host without a topology");
  await setup.agent.start();
  await untilSaid(setup, "that says idle", ({ topology_id: id }) => id === null);

  narrator.title("The master pushes a topology, and the agent makes it real");
  await push(setup, host);
  await untilSaid(setup, "without drift", isWell(host));
  await runCommand(setup, "state", [0, 1]);

  narrator.title("Something breaks: a heartbeat says so");
  const before = await host.list();
  const services = host.document.plan.containers.filter(({ service }) => service !== null);
  const [removed, killed] = [services[1]!.name, services.at(-1)!.name];
  narrator.say("host", `container ${killed} dies, and somebody removes ${removed}`);
  await host.call("POST", `/containers/${killed}/kill`);
  await host.call("DELETE", `/containers/${removed}?force=1`);
  const isBroken = ({ drift }: Topology) =>
    drift.state === "drifted" && drift.stopped.some(({ name }) => name === killed) &&
    drift.missing.some(({ name }) => name === removed);
  await untilSaid(setup, "with drift", isBroken);

  narrator.title("The master pushes the same document again: only what is broken is repaired");
  await push(setup, host);
  const repaired = await host.list();
  const replaced = [...before.keys()].filter((path) => !repaired.has(path));
  if (replaced.length !== 1) throw new Error(`replaced were: ${replaced.join(", ")}`);
  await untilSaid(setup, "without drift", isWell(host));
  narrator.say("host", "has one new container; nothing else was touched");
  await push(setup, host);
  assertSame(repaired, await host.list());
}

function assertSame(before: Map<string, string>, after: Map<string, string>): void {
  const [one, other] = [before, after].map((items) => JSON.stringify([...items]));
  if (one !== other) throw new Error(`the engine was changed: ${one} became ${other}`);
}

async function loseEngine(setup: Setup, host: Host): Promise<void> {
  const { narrator } = setup.master;
  narrator.title("The engine is gone: the heartbeat still comes, and says what is wrong");
  await host.stop();
  narrator.say("host", "the engine has stopped");
  await untilSaid(setup, "with an error", ({ observed }) => "error" in observed);
  await host.start();
  narrator.say("host", "the engine runs again");
  await untilSaid(setup, "without drift", isWell(host));
}

async function loseMaster({ master, agent: { log, setting } }: Setup): Promise<void> {
  const { narrator, received } = master;
  const { signal } = setting.ending;
  narrator.title("The master is gone: the agent tries until it is back");
  const [heartbeats, lines] = [received.length, log.length];
  await master[Symbol.asyncDispose]();
  narrator.say("master", "has stopped");
  const isMissed = () => log.slice(lines).some((line) => line.includes("subject=master"));
  await until(isMissed, { what: "the agent to miss its master", signal });
  await master.start();
  narrator.say("master", "runs again; the agent waits for 5 s or longer before it tries again");
  await until(() => received.length > heartbeats, { what: "a heartbeat", signal });
}

async function tearDown(setup: Setup, host: Host): Promise<void> {
  const { master: { narrator }, agent } = setup;
  const { id } = host.document.topology;
  const before = await host.list();
  narrator.title("Others are refused, and the master tears the topology down");
  narrator.say("host", "a neighbour's agent asks for a teardown with its own certificate");
  const [path, body] = ["/topology/teardown", { topology_id: id }];
  narrator.say("agent", await agent.call(path, body, { as: neighbour, expected: 403 }));
  narrator.say("master", "pushes a second topology");
  const second = await loadDocument(standInOptions, {
    id: crypto.randomUUID(),
    network: "198.19",
  });
  narrator.say("agent", await agent.call("/topology/apply", bodyOf(second), { expected: 409 }));
  assertSame(before, await host.list());
  narrator.say("master", `asks for the teardown of ${id}`);
  await agent.call(path, body);
  assertSame(new Map(), await host.list());
  await untilSaid(setup, "that says idle", ({ topology_id: id }) => id === null);
}

// Ends without waiting for idle connections.
if (import.meta.main) Deno.exit(await main(Deno.args));
