import assert from "node:assert/strict";
import { writeAgentDirectory } from "./certificates.ts";
import { authority, rogueAuthority, startMaster } from "./master_setup.ts";
import { TemporaryFolder } from "./temporary_folder.ts";
import type { TlsMaster } from "./tls_master.ts";

const root = new URL("..", import.meta.url).pathname;

/** Checks once, from source, with the permissions and in the environment of a real run. */
async function checkOnce(
  master: TlsMaster,
  environment: (rogueCa: string) => Record<string, string>,
): Promise<string> {
  using folder = new TemporaryFolder();
  await writeAgentDirectory(
    folder.path,
    authority,
    await authority.issue({ commonName: "worker-1", usage: "client" }),
  );
  const rogueCa = `${folder.path}/rogue.crt`;
  await Deno.writeTextFile(rogueCa, rogueAuthority.certificatePem);
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "-P=agent", "--no-prompt", "--cached-only", "main.ts", "--once"],
      ...[`--agent-dir=${folder.path}`, `--state-dir=${folder.path}`],
      ...["--master-host=127.0.0.1", `--swarmctl-port=${master.port}`, "--master-name=master.test"],
      ...["--host-uuid=h", `--docker-host=unix://${folder.path}/none.sock`],
    ],
    cwd: root,
    env: { NO_COLOR: "1", ...environment(rogueCa) },
  }).output();
  return new TextDecoder().decode(stdout);
}

Deno.test("a beat from source goes to the master, past whatever proxy the environment names", async () => {
  await using master = await startMaster();
  const proxy = "http://127.0.0.1:1";
  const stdout = await checkOnce(master, () => ({
    NODE_USE_ENV_PROXY: "1",
    HTTPS_PROXY: proxy,
    https_proxy: proxy,
    HTTP_PROXY: proxy,
    ALL_PROXY: proxy,
  }));
  assert.equal(master.beatCount, 1, stdout);
});

for (
  const [names, environment] of [
    ["NODE_TLS_REJECT_UNAUTHORIZED", () => ({ NODE_TLS_REJECT_UNAUTHORIZED: "0" })],
    [
      "NODE_EXTRA_CA_CERTS and NODE_OPTIONS",
      (rogueCa) => ({
        NODE_EXTRA_CA_CERTS: rogueCa,
        NODE_OPTIONS: "--use-openssl-ca",
        NODE_USE_SYSTEM_CA: "1",
      }),
    ],
    [
      "SSL_CERT_FILE, DENO_CERT and DENO_TLS_CA_STORE",
      (rogueCa) => ({
        SSL_CERT_FILE: rogueCa,
        DENO_CERT: rogueCa,
        DENO_TLS_CA_STORE: "system,mozilla",
        DENO_UNSAFELY_IGNORE_CERTIFICATE_ERRORS: "1",
      }),
    ],
  ] satisfies [string, (rogueCa: string) => Record<string, string>][]
) {
  Deno.test(`a master of another authority is refused whatever ${names} says`, async () => {
    await using master = await startMaster({ issuer: rogueAuthority });
    const stdout = await checkOnce(master, environment);
    assert.match(stdout, /^DECNET CRITICAL - .*not signed by ca\.crt/);
    assert.equal(master.beatCount, 0);
  });
}
