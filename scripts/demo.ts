/** The real agent at work among stand-ins: `deno task demo`. */

import { findSocket } from "../docker/observe.ts";
import { announce, introduce, type Mode } from "./demo/introduction.ts";
import type { Pace } from "./demo/looping_agent.ts";
import { Narrator, wrap } from "./demo/narrator.ts";
import { RealHost } from "./demo/real_host.ts";
import { engineSockets, Stage } from "./demo/stage.ts";
import { StandInHost } from "./demo/stand_in_host.ts";
import { tellRealApply, tellRealStory, tellStory } from "./demo/story.ts";

const usage = `usage: deno task demo [--docker [--apply]] | [--web [--seconds=N]]

Shows how the agent applies what its master pushes, what the master then receives, and what becomes
of it when a container, the engine or the master fails. The agent is the real one; host and master
are stand-ins. It takes about ten seconds, changes nothing on this host, and leaves nothing behind.

  --docker           look at this host's own engine, and only look
  --docker --apply   apply a small topology there, mend it, and tear it down: images, networks and
                     containers are made under names of their own, and all removed in the end
  --web              starts the example master of examples/master and four hosts, makes one drift, one
                     lose its engine and one fall silent, and goes on, for a look at the master's page,
                     until Ctrl-C or for so many seconds
  --help             this text
`;

/** The agent has news at once, so there is no need for beats in short order. */
const newsPace: Pace = { intervalMs: 30_000, minEarlyGapMs: 800 };
/** With the least jitter, a fifth less, the beats are 0.8 s apart. */
const heartbeatPace: Pace = { intervalMs: 1_000 };

const signalCodes = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

/** The process was asked to end. */
class Interrupted extends Error {
  override readonly name = "Interrupted";

  constructor(readonly exitCode: number) {
    super("interrupted");
  }
}

async function main(args: readonly string[]): Promise<number> {
  if (args.length === 1 && args[0] === "--help") {
    write(Deno.stdout, usage);
    return 0;
  }
  const problem = problemOf(args);
  if (problem !== null) {
    write(Deno.stderr, `demo: ${problem}\n\n${usage}`);
    return 2;
  }
  const web = readWeb(args);
  const mode = args.includes("--apply") ? "apply" : args.includes("--docker") ? "look" : "stand-in";
  if (Deno.build.os === "windows") {
    report(new Error("there are no unix sockets for the engine here; on Windows, use WSL"));
    return 1;
  }
  const ending = new AbortController();
  try {
    listenForTheEnd(ending);
    await (web === null ? perform(mode, ending) : performWeb(web, ending));
    return 0;
  } catch (error) {
    const causes = causesOf(error);
    causes.forEach(report);
    return causes[0] instanceof Interrupted && causes.length === 1 ? causes[0].exitCode : 1;
  }
}

/** For how long the page is to be there, in milliseconds; null when it is not asked for. */
function readWeb(args: readonly string[]): number | null {
  if (args[0] !== "--web") return null;
  const [, seconds] = /^--seconds=([1-9]\d{0,5})$/.exec(args[1] ?? "") ?? [];
  return seconds === undefined ? Infinity : Number(seconds) * 1000;
}

/** What is wrong with the arguments, or null. */
function problemOf(args: readonly string[]): string | null {
  if (args[0] === "--web") {
    const isKnown = args.length === 1 || (args.length === 2 && readWeb(args) !== Infinity);
    return isKnown ? null : "with --web goes nothing but --seconds=N, at most 999999";
  }
  const unknown = args.find((argument) => argument !== "--docker" && argument !== "--apply");
  if (unknown !== undefined) return `'${unknown}' is not known here`;
  if (!args.includes("--apply") || args.includes("--docker")) return null;
  return "--apply goes with --docker; among the stand-ins a topology is applied anyway";
}

function newNarrator(): Narrator {
  return new Narrator({
    write: (text) => write(Deno.stdout, text),
    width: width(),
    coloured: Deno.stdout.isTerminal() && !Deno.noColor,
  });
}

async function performWeb(forMs: number, ending: AbortController): Promise<void> {
  const { tellWeb } = await import("./demo/web_story.ts");
  const narrator = newNarrator();
  const { signal } = ending;
  await tellWeb(narrator, { forMs, signal, onError: (error) => ending.abort(error) });
  narrator.tell(`Done in ${narrator.elapsed}; nothing is left of it.`);
}

async function perform(mode: Mode, ending: AbortController): Promise<void> {
  const narrator = newNarrator();
  const folder = await Deno.makeTempDir({ prefix: "decnet-demo-" });
  await play(narrator, folder, mode, ending);
  narrator.tell("");
  const more = mode === "apply" ? ", and so is all that was made on the engine" : "";
  narrator.tell(`Done in ${narrator.elapsed}; ${folder} is removed${more}.`);
  if (mode === "stand-in") {
    narrator.tell("To look at this machine's own engine: deno task demo --docker");
    narrator.tell("To have the same applied there: deno task demo --docker --apply");
    narrator.tell("To see the page of a small master: deno task demo --web");
  }
}

/** Whatever comes of it, at the end all that it has started is stopped and the folder is gone. */
async function play(
  narrator: Narrator,
  folder: string,
  mode: Mode,
  ending: AbortController,
): Promise<void> {
  await using stack = new AsyncDisposableStack();
  stack.defer(() => Deno.remove(folder, { recursive: true }));
  introduce(narrator, mode, folder);
  const { signal } = ending;
  const onError = (error: unknown) => ending.abort(error);
  const options = { folder, narrator, signal, onError };
  if (mode === "look") {
    const stage = await Stage.open({ ...options, pace: heartbeatPace, patienceMs: 5_000 });
    await tellRealStory(stack.use(stage));
  } else {
    const host = mode === "apply"
      ? await RealHost.open(folder, findSocket(engineSockets()))
      : await StandInHost.open(folder);
    stack.use(host);
    const { flags } = host;
    if (host instanceof RealHost) {
      announce(narrator, host);
      signal.addEventListener("abort", () => {
        complain("removes what it has made on the engine");
      }, { once: true });
    }
    // A real engine takes its time, and others may use it meanwhile.
    const patienceMs = mode === "apply" ? 30_000 : 5_000;
    const news = { flags, listens: true, pace: newsPace, patienceMs };
    const stage = stack.use(await Stage.open({ ...options, ...news }));
    await (host instanceof RealHost ? tellRealApply(stage, host) : tellStory(stage, host));
  }
  signal.throwIfAborted();
}

function report(error: unknown): void {
  // Who reads has gone, as `head` does, which is no failure to talk about.
  if (error instanceof Deno.errors.BrokenPipe) return;
  complain(error instanceof Error ? error.message : String(error));
}

function complain(message: string): void {
  try {
    write(Deno.stderr, `\n${wrap(`demo: ${message}`, width()).join("\n")}\n`);
  } catch {
    // The terminal has been closed: there is nobody left to tell.
  }
}

/** Whatever ends the demo must not keep it from cleaning up. */
function listenForTheEnd(ending: AbortController): void {
  for (const [signal, code] of Object.entries(signalCodes)) {
    const end = () => ending.abort(new Interrupted(code));
    Deno.addSignalListener(signal as keyof typeof signalCodes, end);
  }
  addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    ending.abort(event.reason);
  });
  addEventListener("error", (event) => {
    event.preventDefault();
    ending.abort(event.error);
  });
}

/** What ended the demo, and what went wrong when it cleaned up. */
function causesOf(error: unknown): unknown[] {
  if (!(error instanceof SuppressedError)) return [error];
  return [...causesOf(error.suppressed), ...causesOf(error.error)];
}

function width(): number {
  const most = 100;
  try {
    return Math.min(most, Math.max(60, Deno.consoleSize().columns || most));
  } catch {
    return most; // No terminal.
  }
}

function write(stream: typeof Deno.stdout | typeof Deno.stderr, text: string): void {
  let bytes = new TextEncoder().encode(text);
  while (bytes.length > 0) bytes = bytes.subarray(stream.writeSync(bytes));
}

if (import.meta.main) {
  // Not waiting for what still lingers, such as an idle connection, is what makes the end quick.
  Deno.exit(await main(Deno.args));
}
