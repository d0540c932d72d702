import type { Identity } from "../../master/certificates.ts";
import { TemporaryFolder } from "./environment.ts";
import { node, python, type Requirement } from "./requirements.ts";

/** Clients of the API that keep their TLS session, as masters do. */

/** Calls GET /health; resolves with `new` or `resumed` and the status, or with `closed`. */
type Call = (port: number) => Promise<string>;

/** Each of these asks with its port on a line of input, and answers with a line. */
const programs = {
  node: `
const https = require("https"), tls = require("tls"), fs = require("fs");
const [file, version] = process.argv.slice(-2), pem = fs.readFileSync(file);
const agent = new https.Agent({ keepAlive: false });
require("readline").createInterface({ input: process.stdin }).on("line", (port) => {
  const options = { host: "127.0.0.1", port, path: "/health", agent, cert: pem, key: pem };
  const limits = { minVersion: version, maxVersion: version, rejectUnauthorized: false };
  const request = https.get({ ...options, ...limits }, (response) => {
    const how = response.socket.isSessionReused() ? "resumed" : "new";
    response.resume().on("end", () => console.log(how + " " + response.statusCode));
  });
  request.on("error", () => console.log("closed"));
});
`,
  python: `
import socket, ssl, sys
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
context.load_cert_chain(sys.argv[1])
version = getattr(ssl.TLSVersion, sys.argv[2].replace(".", "_"))
context.minimum_version = context.maximum_version = version
session = None
for line in sys.stdin:
    raw = socket.create_connection(("127.0.0.1", int(line)))
    it = context.wrap_socket(raw, session=session, do_handshake_on_connect=False)
    answer = ""
    try:
        it.do_handshake()
        it.sendall(b"GET /health HTTP/1.1\\r\\nHost: a\\r\\nConnection: close\\r\\n\\r\\n")
        answer = it.recv(12)[9:].decode()
    except OSError:
        pass
    # A client that keeps its first session for ever is the strictest.
    session = session or (it.session if answer else None)
    reused = "resumed " if it.session_reused else "new "
    print(reused + answer if answer else "closed", flush=True)
    it.close()
`,
};

/** Runs a client that answers line by line; disposing of it ends the program. */
class Program implements AsyncDisposable {
  readonly #process: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>;
  readonly #lines: AsyncGenerator<string>;

  constructor(command: string, args: string[]) {
    const pipes = { stdin: "piped", stdout: "piped" } as const;
    this.#process = new Deno.Command(command, { args, ...pipes }).spawn();
    this.#input = this.#process.stdin.getWriter();
    this.#lines = lines(this.#process.stdout);
  }

  async ask(line: string): Promise<string> {
    await this.#input.write(new TextEncoder().encode(`${line}\n`));
    return (await this.#lines.next()).value ?? "ended";
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#input.close();
    await this.#lines.return(null);
    await this.#process.status;
  }
}

async function* lines(stream: ReadableStream<Uint8Array<ArrayBuffer>>): AsyncGenerator<string> {
  let rest = "";
  for await (const part of stream.pipeThrough(new TextDecoderStream())) {
    const all = (rest + part).split("\n");
    rest = all.pop()!;
    yield* all;
  }
}

/** Runs a test with a client of one kind and one version of TLS. */
type Run = (identity: Identity, run: (call: Call) => Promise<void>) => Promise<void>;

function runProgram(command: string, flags: readonly string[], version: string): Run {
  return async ({ certificate, key }, run) => {
    using folder = new TemporaryFolder();
    const file = `${folder.path}/master.pem`;
    await Deno.writeTextFile(file, certificate + key);
    await using client = new Program(command, [...flags, file, version]);
    await run((port) => client.ask(String(port)));
  };
}

/** Each kind of client with each version of TLS. */
export const resumingClients: readonly { name: string; needs: Requirement; run: Run }[] = [
  "TLSv1.2",
  "TLSv1.3",
].flatMap((version) => [
  {
    name: `node, ${version}`,
    needs: node,
    run: runProgram("node", ["-e", programs.node, "--"], version),
  },
  {
    name: `python, ${version}`,
    needs: python,
    run: runProgram("python3", ["-c", programs.python], version),
  },
]);

/** Calls at most twice, as a master may. Throws `Error` when both fail. */
export async function callTwice(call: Call, port: number): Promise<void> {
  const first = await call(port);
  const second = first.endsWith(" 200") ? first : await call(port);
  if (!second.endsWith(" 200")) throw new Error(`the calls ended with ${first}, then ${second}`);
}
