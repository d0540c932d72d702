/** The real agent at work among stand-ins: `deno task demo`. */

import { Narrator, wrap } from "./demo/narrator.ts";
import { Stage } from "./demo/stage.ts";
import { StandInHost } from "./demo/stand_in_host.ts";
import { tellRealStory, tellStory } from "./demo/story.ts";

const usage = `usage: deno task demo [--docker]

Shows what the agent sees, what its master receives, and what becomes of it when a container, the
engine or the master fails. The agent is the real one; host and master are stand-ins. It takes
about ten seconds, changes nothing on this host, and leaves nothing behind.

  --docker   look at this host's own engine, and only look
  --help     this text
`;

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
  const unknown = args.find((argument) => argument !== "--docker");
  if (unknown !== undefined) {
    write(Deno.stderr, `demo: '${unknown}' is not known here\n\n${usage}`);
    return 2;
  }
  if (Deno.build.os === "windows") {
    report(new Error("there are no unix sockets for the engine here; on Windows, use WSL"));
    return 1;
  }
  const ending = new AbortController();
  try {
    listenForTheEnd(ending);
    await perform(args.includes("--docker"), ending);
    return 0;
  } catch (error) {
    const causes = causesOf(error);
    causes.forEach(report);
    return causes[0] instanceof Interrupted && causes.length === 1 ? causes[0].exitCode : 1;
  }
}

async function perform(isReal: boolean, ending: AbortController): Promise<void> {
  const narrator = new Narrator({
    write: (text) => write(Deno.stdout, text),
    width: width(),
    coloured: Deno.stdout.isTerminal() && !Deno.noColor,
  });
  const folder = await Deno.makeTempDir({ prefix: "decnet-demo-" });
  await play(narrator, folder, isReal, ending);
  narrator.tell("");
  narrator.tell(`Done in ${narrator.elapsed}; ${folder} is removed.`);
  if (!isReal) narrator.tell("To look at this machine's own engine: deno task demo --docker");
}

/** Whatever comes of it, at the end all that it has started is stopped and the folder is gone. */
async function play(
  narrator: Narrator,
  folder: string,
  isReal: boolean,
  ending: AbortController,
): Promise<void> {
  await using stack = new AsyncDisposableStack();
  stack.defer(() => Deno.remove(folder, { recursive: true }));
  introduce(narrator, isReal, folder);
  const host = isReal ? null : stack.use(await StandInHost.open(folder));
  const stage = stack.use(
    await Stage.open({
      folder,
      narrator,
      signal: ending.signal,
      onError: (error) => ending.abort(error),
      socket: host?.socket ?? null,
    }),
  );
  await (host ? tellStory(stage, host) : tellRealStory(stage));
  ending.signal.throwIfAborted();
}

function introduce(narrator: Narrator, isReal: boolean, folder: string): void {
  narrator.tell(
    "decnet-agent tells a master what runs on a host full of decoys. Watch it at work:",
  );
  narrator.introduce({
    host: isReal
      ? "this machine; its engine is asked what runs, and nothing is changed"
      : "a stand-in: an engine that shows the decoys' networks and containers",
    agent: "the real one; you read its log, where only changes are noted",
    master: "a stand-in that listens on 127.0.0.1 and shows what it receives",
  });
  narrator.tell(
    "A beat is what the agent reports: one every 0.8 s here, every 30 s in real life. Drift is how " +
      "what runs differs from what was applied. " +
      `The demo writes to ${folder} only, and removes it at the end.`,
  );
}

function report(error: unknown): void {
  // Who reads has gone, as `head` does, which is no failure to talk about.
  if (error instanceof Deno.errors.BrokenPipe) return;
  try {
    const message = `demo: ${error instanceof Error ? error.message : error}`;
    write(Deno.stderr, `\n${wrap(message, width()).join("\n")}\n`);
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
