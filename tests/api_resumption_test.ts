import assert from "node:assert/strict";
import { agentIdentity, ApiSetup, master } from "./api_setup.ts";
import { rogueAuthority } from "./master_setup.ts";
import { python } from "./python.ts";
import { TemporaryFolder } from "./temporary_folder.ts";

/** Gets a session, then resumes it for each line that it reads; tells how each call ended. */
const program = `
import socket, ssl, sys
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
context.load_cert_chain(sys.argv[2])
context.minimum_version = context.maximum_version = getattr(ssl.TLSVersion, sys.argv[3])
def ask(session):
    raw = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
    it = context.wrap_socket(raw, session=session, do_handshake_on_connect=False)
    answer = ""
    try:
        it.do_handshake()
        it.sendall(b"GET /health HTTP/1.1\\r\\nHost: a\\r\\nConnection: close\\r\\n\\r\\n")
        answer = it.recv(12)[9:].decode()
    except OSError:
        pass
    print("resumed" if it.session_reused else "new", answer or "closed", flush=True)
    got = it.session
    it.close()
    return got
session = ask(None)
for line in sys.stdin:
    ask(None if line == "new\\n" else session)
`;

for (const version of ["TLSv1_2", "TLSv1_3"]) {
  Deno.test({
    name: `the API forgets whom an older ca.crt let in, in ${version}${python.suffix}`,
    ignore: python.ignore,
    fn: async () => {
      python.check();
      using folder = new TemporaryFolder();
      const certificate = `${folder.path}/master.pem`;
      await Deno.writeTextFile(certificate, master.certificate + master.key);
      await using api = await ApiSetup.start({ lookIntervalMs: 20 });
      const client = new Deno.Command("python3", {
        args: ["-c", program, String(api.port), certificate, version],
        stdin: "piped",
        stdout: "piped",
      }).spawn();
      const input = client.stdin.getWriter();
      const answers = lines(client.stdout);
      const say = async (line: string) => {
        await input.write(new TextEncoder().encode(`${line}\n`));
        return (await answers.next()).value;
      };
      try {
        assert.equal((await answers.next()).value, "new 200");
        assert.equal(await say("resume"), "resumed 200");
        const other = await agentIdentity("the agent", rogueAuthority);
        api.loaded = { certificates: other, problem: null };
        await api.isUsed(other);
        assert.equal(await say("resume"), "resumed closed");
        assert.equal(await say("new"), "new closed");
        // It is not that it would never be let in again.
        const own = await agentIdentity("the agent");
        api.loaded = { certificates: own, problem: null };
        await api.isUsed(own);
        assert.equal(await say("resume"), "resumed closed");
        assert.equal(await say("new"), "new 200");
        assert.equal(await say("resume"), "resumed 200");
      } finally {
        await input.close();
        await answers.return(null);
        await client.status;
      }
    },
  });
}

async function* lines(stream: ReadableStream<Uint8Array<ArrayBuffer>>): AsyncGenerator<string> {
  let rest = "";
  for await (const part of stream.pipeThrough(new TextDecoderStream())) {
    const all = (rest + part).split("\n");
    rest = all.pop()!;
    yield* all;
  }
}
