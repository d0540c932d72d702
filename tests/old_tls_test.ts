import assert from "node:assert/strict";
import { assertOvercome, pinned } from "./master_fault_setup.ts";
import { requirement } from "./requirements.ts";

const openssl = requirement("openssl", isInstalled());

function isInstalled(): boolean {
  try {
    return new Deno.Command("openssl", { args: ["version"], stdout: "null" }).outputSync().success;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** Serves TLS 1.1 and nothing newer, which the runtime itself cannot; answers what ends it. */
async function serveOldTls(path: string, port: number): Promise<() => Promise<void>> {
  await Deno.writeTextFile(`${path}/old.crt`, pinned.certificatePem);
  await Deno.writeTextFile(`${path}/old.key`, pinned.keyPem);
  const files = ["-cert", `${path}/old.crt`, "-key", `${path}/old.key`];
  const server = new Deno.Command("openssl", {
    args: ["s_server", "-accept", `127.0.0.1:${port}`, ...files, "-tls1_1", "-cipher"]
      .concat("ALL:@SECLEVEL=0"),
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const reader = server.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  while (!text.includes("ACCEPT")) {
    const { value, done } = await reader.read();
    assert.ok(!done, `openssl has ended: ${text}`);
    text += value;
  }
  return async () => {
    server.kill("SIGKILL");
    await reader.cancel();
    await server.stdin.close();
    await server.status;
  };
}

Deno.test({
  name: `the agent tells of and outlives a master that speaks TLS 1.1 only${openssl.suffix}`,
  ignore: openssl.ignore,
  fn: async () => {
    openssl.check();
    await assertOvercome({
      what: "TLS 1.1",
      strike: async ({ master, setup, port }) => {
        await master.stop();
        return await serveOldTls(setup.path, port);
      },
      result: "unreachable",
      says:
        /Cannot reach the master at 127\.0\.0\.1:\d+: it speaks neither TLS 1\.2 nor anything newer/,
    });
  },
});
