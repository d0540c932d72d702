import assert from "node:assert/strict";
import { TopologyStore } from "../../store/topology_store.ts";
import { document, topologyId, versionHash } from "../support/agent_setup.ts";
import { container } from "../support/engine/state.ts";
import { freePort } from "../support/environment.ts";
import { execute, Host, RunningAgent } from "../support/executable.ts";
import { plantedPassword } from "../support/secrets.ts";

/** An ini file with a secret in each place that is not a value of one of our keys. */
const ini = `# ${plantedPassword}
[proxy]
password = ${plantedPassword}
[agent]
interval = 5s
api-token = ${plantedPassword}
`;

const malformed = `[agent]\n${plantedPassword}\n`;

const headings = [
  ...["doctor", "state", "configuration", "versions", "certificates", "unit", "last errors"],
];

/** Returns the parts of a report by their headings. */
function partsOf(report: string): ReadonlyMap<string, string> {
  const [, ...parts] = report.split(/^== /m);
  return new Map(parts.map((part) => {
    const at = part.indexOf("\n");
    return [part.slice(0, at), part.slice(at + 1)];
  }));
}

Deno.test("decnet-agent doctor --report holds all parts, and no secret", async () => {
  await using host = await Host.create();
  const engine = await host.startEngine();
  const { master } = await host.startMaster();
  await Deno.mkdir(host.stateDirectory);
  using store = TopologyStore.open(host.storePath);
  store.put(topologyId, versionHash, document);
  store.recordError(topologyId, "the disk broke");
  const labels = { "decnet.topology.id": topologyId, "decnet.topology.service": "true" };
  const decoy = container({ name: "decnet_t_11111111_decky-001-ssh", labels });
  engine.containers = [decoy];
  engine.logs.print(decoy.Id, `login failed: ${plantedPassword}\n`);
  await Deno.writeTextFile(`${host.storePath}.corrupt-20261122T180000Z`, plantedPassword);
  const config = `${host.folder}/decnet.ini`;
  await Deno.writeTextFile(config, ini);
  const flags = [`--config=${config}`, `--syslog-port=${freePort()}`, ...host.flags(master)];
  {
    await using agent = new RunningAgent(flags);
    await agent.until(() => /subject=logs|log lines/.test(agent.stderr));
    await agent.until(() => engine.logs.followed.length > 0);
    await agent.stop();
  }
  // assertNoSecrets() looks at all that is printed.
  const env = { DECNET_LISTEN: `tcp://me:${plantedPassword}@host` };
  const wrong = await execute(["doctor", "--report", ...flags], { env });
  assert.match(wrong.stdout, /^listen = tcp:\/\/…@host \(\$DECNET_LISTEN\)$/m);
  const { code, stdout, stderr } = await execute(["doctor", "--report", ...flags]);
  assert.equal(stderr, "");
  const doctor = await execute(["doctor", "--json", ...flags]);
  assert.equal(code, doctor.code);
  const parts = partsOf(stdout);
  assert.deepEqual([...parts.keys()], headings);
  const wanted: Readonly<Record<string, RegExp>> = {
    "doctor": /^master +ok/m,
    "state": /^drift +drifted: 2 missing\n(log lines .*\n)?\ndifferences\n(.* {2}missing\n?){2}/m,
    "configuration":
      /^interval = 5s \(\S+decnet\.ini line 5\)\n(.*\n)*base-image = \S+ \(default\)$/m,
    "versions":
      /^agent \d(.*\n)+deno 2(.*\n)+distribution .+\nglibc 2\..+\nengine .+\nkernel .+\n/m,
    "certificates":
      /^worker\.crt: subject host-1, issuer test authority\n.*: serial \w+, is valid /m,
    "unit": /^decnet-agent\.service|active/,
    "last errors":
      /^last_error .*: the disk broke\nquarantined: .* 25 bytes, .*\nproblems .*:\n20\S+ (warn|error) msg=/,
  };
  for (const [heading, text] of Object.entries(wanted)) assert.match(parts.get(heading)!, text);
  await Deno.writeTextFile(config, malformed);
  await execute(["doctor", "--report", ...flags]);
});

Deno.test("decnet-agent keeps the problems of its log, and nothing when steady", async () => {
  await using host = await Host.create();
  const engine = await host.startEngine();
  const path = `${host.stateDirectory}/problems.json`;
  const exists = () =>
    [...Deno.readDirSync(host.stateDirectory)].some(({ name }) => path.endsWith(name));
  await using agent = new RunningAgent(["--interval=5s", ...host.flags()]);
  await agent.until(() => engine.requestCount > 3);
  assert.equal(exists(), false);
  await engine.stop();
  await agent.until(() => agent.stderr.includes("subject=docker") && exists());
  await agent.stop();
  const [problem] = JSON.parse(await Deno.readTextFile(path));
  assert.equal(problem.level, "error");
  assert.match(problem.text, /^msg=".*" subject=docker$/);
  assert.equal(Deno.statSync(path).mode! & 0o777, 0o600);
});
