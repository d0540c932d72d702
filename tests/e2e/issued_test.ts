import assert from "node:assert/strict";
import { call } from "../support/api_setup.ts";
import { createAuthority, writeAgentDirectory } from "../support/certificates.ts";
import { freePort } from "../support/environment.ts";
import { execute, Host, RunningAgent } from "../support/executable.ts";
import { LogListener } from "../support/log_listener.ts";
import { requirement, works } from "../support/requirements.ts";
import { TlsMaster } from "../support/tls_master.ts";

const namespaces = requirement(
  "unshare and the right to use it",
  await works("unshare", "--mount", "true"),
);

const issued = Deno.readTextFileSync(new URL("../data/issued.ini", import.meta.url));

namespaces.test("decnet-agent works with the files of an enrolment as they are", async () => {
  await using host = await Host.create();
  await host.startEngine();
  const authority = await createAuthority("decnet ca");
  // The controller's certificate has this name, whatever its host is called.
  const controller = { commonName: "swarmctl", dnsNames: ["swarmctl"] };
  await using master = await TlsMaster.start({
    authority,
    certificate: await authority.issue({ ...controller, usage: "server" }),
  });
  await using listener = await LogListener.start({ authority });
  const port = freePort();
  const ini = issued.replace("8770", String(master.port)).replace("8765", String(port))
    .replace("6514", String(listener.port));
  const files = `${host.folder}/etc/decnet`;
  await Deno.mkdir(`${files}/agent`, { recursive: true });
  await Deno.writeTextFile(`${files}/decnet.ini`, ini);
  const ipAddresses = ["127.0.0.1"];
  const worker = await authority.issue({ commonName: "worker-1", ipAddresses });
  await writeAgentDirectory(`${files}/agent`, authority, worker);
  // No flag: all stands where an enrolment puts it.
  const commands = ["mount -t tmpfs none /etc", `cp -a ${files} /etc/decnet`, 'exec "$0" "$@"'];
  const wrapper = ["unshare", "--mount", "sh", "-c", commands.join(" && ")];
  const env = { DOCKER_HOST: `unix://${host.socket}`, STATE_DIRECTORY: host.stateDirectory };

  const { code, stdout, stderr } = await execute(["--once"], { wrapper, env });
  assert.equal(stderr, "");
  assert.match(stdout, /^DECNET OK - idle, .*, heartbeat sent /);
  assert.equal(code, 0);
  const [{ body, clientCommonName }] = master.heartbeats as [typeof master.heartbeats[0]];
  assert.equal((body as { host_uuid: string }).host_uuid, "6f1f6a3e-43a5-4ab1-9a3f-0c6b4f6a4f0e");
  assert.equal(clientCommonName, "worker-1");

  await using agent = new RunningAgent([], { wrapper, env });
  await agent.until(() => agent.stderr.includes("msg=listening"));
  assert.doesNotMatch(agent.stderr, /level=(warn|error)/);
  const { certificatePem, keyPem } = await authority.issue({ commonName: "decnet-master" });
  const client = { authority: authority.certificatePem, certificate: certificatePem, key: keyPem };
  const options = { host: "127.0.0.1" };
  assert.deepEqual((await call(port, "/health", client, options)).body, { status: "ok" });
  assert.deepEqual((await call(port, "/status", client, options)).body, {
    deployed: false,
    deckies: [],
  });
  // The doctor says on which addresses, and why; nothing is wrong with it.
  const doctor = await execute(["doctor", "--json"], { wrapper, env });
  const { exit_code, checks } = JSON.parse(doctor.stdout);
  const api = checks.find(({ name }: { name: string }) => name === "api");
  assert.equal(api.state, "ok");
  const line = ini.slice(0, ini.indexOf("agent-port")).split("\n").length;
  const why = `listen = 0.0.0.0:${port} (agent-port in /etc/decnet/decnet.ini line ${line})`;
  assert.ok(api.details.includes(`${why} means all addresses of this host`), api.details);
  assert.equal(exit_code, 0, doctor.stdout);
});
