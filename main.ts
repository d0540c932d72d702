import { run, type Terminal } from "./cli/mod.ts";

const terminal: Terminal = {
  stdout: (text) => write(Deno.stdout, text),
  stderr: (text) => write(Deno.stderr, text),
  readInput: (path) => path === "-" ? readAll(Deno.stdin.readable) : Deno.readFile(path),
  stopSignal,
  variable: (name) => Deno.env.get(name),
  readFile: (path) => absentAsNull(() => Deno.readTextFileSync(path)),
  exists: (path) => absentAsNull(() => Deno.statSync(path)) !== null,
  get isRoot() {
    return Deno.uid() === 0;
  },
};

function write(stream: typeof Deno.stdout | typeof Deno.stderr, text: string): void {
  try {
    let bytes = new TextEncoder().encode(text);
    while (bytes.length > 0) bytes = bytes.subarray(stream.writeSync(bytes));
  } catch (error) {
    // Who reads has gone, as `head` does: there is nobody left to tell.
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
  }
}

async function readAll(stream: ReadableStream<Uint8Array>): Promise<Uint8Array> {
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function stopSignal(): AbortSignal {
  const controller = new AbortController();
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    Deno.addSignalListener(signal, () => controller.abort(new Error("the agent is stopping")));
  }
  return controller.signal;
}

function absentAsNull<T>(read: () => T): T | null {
  try {
    return read();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}

if (import.meta.main) {
  // Not waiting for what still lingers, such as an idle connection, is what makes the end quick.
  Deno.exit(await run(Deno.args, terminal));
}
