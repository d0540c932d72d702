import assert from "node:assert/strict";
import type { Identity } from "../../api/auth.ts";
import { agentIdentity, ApiSetup, master } from "../support/api_setup.ts";
import { TemporaryFolder } from "../support/environment.ts";
import { authority, rogueAuthority } from "../support/master_setup.ts";
import { node, openssl, python, type Requirement } from "../support/requirements.ts";

/** Calls the API; returns whether the session was resumed, and the status or why there is none. */
type Client = (port: number) => Promise<string>;

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

/** Calls with `openssl s_client`, which keeps its session in a file. */
async function callWithOpenssl(folder: string, version: string, port: number): Promise<string> {
  const session = `${folder}/session`;
  const exists = await Deno.stat(session).then(() => true, () => false);
  const files = [...(exists ? ["-sess_in", session] : []), "-sess_out", session];
  const tls = version === "TLSv1.2" ? "-tls1_2" : "-tls1_3";
  const process = new Deno.Command("openssl", {
    args: ["s_client", "-connect", `127.0.0.1:${port}`, "-cert", `${folder}/master.pem`, tls]
      .concat("-ign_eof", files),
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const input = process.stdin.getWriter();
  const text = "GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
  await input.write(new TextEncoder().encode(text)).catch(() => {});
  await input.close().catch(() => {});
  const said = new TextDecoder().decode((await process.output()).stdout);
  const [, status] = /HTTP\/1\.1 (\d+)/.exec(said) ?? [];
  if (status === undefined) return "closed";
  return `${/^Reused, /m.test(said) ? "resumed" : "new"} ${status}`;
}

/** Runs a test with each client and each version of TLS, as the master. */
function testEach(what: string, run: (call: Client) => Promise<void>): void {
  const kinds: [name: string, needs: Requirement][] = [
    ["node", node],
    ["python", python],
    ["openssl", openssl],
  ];
  for (const [name, needs] of kinds) {
    for (const version of ["TLSv1.2", "TLSv1.3"]) {
      needs.test(`${what}: ${name}, ${version}`, async () => {
        using folder = new TemporaryFolder();
        const file = `${folder.path}/master.pem`;
        await Deno.writeTextFile(file, master.certificate + master.key);
        if (name === "openssl") return await run((it) => callWithOpenssl(folder.path, version, it));
        const isNode = name === "node";
        const program = programs[isNode ? "node" : "python"];
        const args = [isNode ? "-e" : "-c", program, ...(isNode ? ["--"] : []), file, version];
        await using client = new Program(isNode ? "node" : "python3", args);
        await run((port) => client.ask(String(port)));
      });
    }
  }
}

/** Calls at most twice, as the contract has it. */
async function callTwice(call: Client, port: number): Promise<void> {
  const first = await call(port);
  if (first.endsWith(" 200")) return;
  const second = await call(port);
  assert.ok(second.endsWith(" 200"), `${first}, then ${second}`);
}

async function changeAuthority(api: ApiSetup, ...pems: string[]): Promise<void> {
  // Another certificate of its own shows when the change is in use.
  const identity = await agentIdentity("the agent");
  const certificates: Identity = { ...identity, authority: pems.join("") };
  api.loaded = { certificates, problem: null };
  await api.isUsed(certificates);
}

const own = authority.certificatePem;
const other = rogueAuthority.certificatePem;
const options = { reloadIntervalMs: 20 };

testEach("sessions are resumed after a reload and with a new ca.crt", async (call) => {
  let port = 0;
  for (let reloads = 0; reloads < 3; reloads++) {
    await using api = await ApiSetup.start({ ...options, port });
    port = api.port;
    await callTwice(call, port);
    assert.equal(await call(port), "resumed 200");
    assert.deepEqual(api.log, []);
  }
  await using api = await ApiSetup.start({ ...options, port });
  for (const authorities of [[own, other], [other, own], [own]]) {
    await changeAuthority(api, ...authorities);
    await callTwice(call, port);
  }
  assert.deepEqual(api.log, []);
});

testEach("a former master's session is refused, and logged", async (call) => {
  await using api = await ApiSetup.start(options);
  await callTwice(call, api.port);
  assert.equal(await call(api.port), "resumed 200");
  await changeAuthority(api, other);
  for (let times = 0; times < 5; times++) assert.equal(await call(api.port), "closed");
  const text =
    "warn the API refused a resumed TLS session: its certificate is not signed by ca.crt";
  assert.equal(api.log[0], `${text} api 1`);
  assert.ok(api.log.length <= 3, api.log.join("\n"));
  await changeAuthority(api, other, own);
  await callTwice(call, api.port);
});

openssl.test("a session is refused once the certificate has expired", async () => {
  await using api = await ApiSetup.start(options);
  using folder = new TemporaryFolder();
  const notAfter = new Date(Math.ceil(Date.now() / 1000 + 2) * 1000);
  const names = { commonName: "decnet-master", usage: "client", notAfter } as const;
  const { certificatePem, keyPem } = await authority.issue(names);
  await Deno.writeTextFile(`${folder.path}/master.pem`, certificatePem + keyPem);
  const call = () => callWithOpenssl(folder.path, "TLSv1.3", api.port);
  assert.deepEqual([await call(), await call()], ["new 200", "resumed 200"]);
  while (Date.now() <= notAfter.getTime()) await new Promise((next) => setTimeout(next, 20));
  assert.equal(await call(), "closed");
  assert.match(api.log[0]!, /^warn the API refused a resumed TLS session: its certificate has exp/);
});
