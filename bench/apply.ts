// deno-lint-ignore-file no-console
/**
 * What it takes to make a topology real, beside docker-compose and the engine's bare calls:
 * `deno task bench:apply [ROUNDS] [DECKIES]`. The ways make the same networks and containers on this
 * machine's own engine, in turn; what one has made is removed before the next begins. Needs an engine
 * and docker-compose.
 */

import { pausingImage } from "../tests/engines/pausing_image.ts";
import { readTopology } from "../topology/document.ts";
import { type Json, parseJson } from "../topology/json.ts";
import { planTopology } from "../topology/plan.ts";
import { composeFile } from "./compose_file.ts";
import { compileProgram, median, printFigures, table } from "./harness.ts";

const rounds = Number(Deno.args[0] ?? 5);
const deckies = Number(Deno.args[1] ?? 30);
const socket = "/var/run/docker.sock";
const image = "decnet-agent-bench:1";
const id = "be9c0000-0000-4000-8000-000000000000";
const folder = await Deno.makeTempDir({ prefix: "decnet-bench-" });

async function run(command: readonly string[], input?: Uint8Array<ArrayBuffer>): Promise<number> {
  const startedAt = performance.now();
  const child = new Deno.Command(command[0]!, {
    args: command.slice(1),
    stdin: input ? "piped" : "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  if (input) await new Blob([input]).stream().pipeTo(child.stdin);
  const { code, stderr } = await child.output();
  // 1: it was done, and something else on this engine is not as it should be.
  if (code > 1) throw new Error(`${command.join(" ")}: ${new TextDecoder().decode(stderr)}`);
  return performance.now() - startedAt;
}

/** A DMZ and two more LANs; every fifth decky is on two of them, and each has one service. */
function makeDocument(): string {
  const address = (lan: number, host: number) => `10.213.${lan}.${10 + host}`;
  return JSON.stringify({
    topology: { id, name: "bench" },
    lans: [0, 1, 2].map((lan) => ({
      name: `LAN-${lan}`,
      subnet: `10.213.${lan}.0/24`,
      is_dmz: lan === 0,
    })),
    deckies: Array.from({ length: deckies }, (_, index) => {
      const lans = index % 5 === 0 ? [index % 3, (index + 1) % 3] : [index % 3];
      const ips = Object.fromEntries(lans.map((lan) => [`LAN-${lan}`, address(lan, index)]));
      return { name: `decky-${index}`, services: ["ssh"], decky_config: { ips_by_lan: ips } };
    }),
  });
}

try {
  const document = makeDocument();
  await Deno.writeTextFile(`${folder}/document.json`, document);
  const images = { base: image, service: image, byService: new Map() };
  const plan = await planTopology(readTopology(parseJson(document) as Json), images);
  await Deno.writeTextFile(`${folder}/plan.json`, JSON.stringify(plan));
  await Deno.writeTextFile(`${folder}/docker-compose.yml`, composeFile(plan));
  await compileProgram("main.ts", `${folder}/agent`);
  await compileProgram("bench/programs/bare_calls.ts", `${folder}/bare_calls`);
  await run(["docker", "import", "--change", 'CMD ["/pause"]', "-", image], pausingImage());
  const agent = (...args: string[]) => [
    `${folder}/agent`,
    ...args,
    `--docker-host=unix://${socket}`,
    `--state-dir=${folder}/state`,
    `--base-image=${image}`,
    `--service-image=${image}`,
  ];
  const ways = new Map([
    ["decnet-agent apply", agent("apply", `${folder}/document.json`)],
    ["bare calls", [`${folder}/bare_calls`, socket, `${folder}/plan.json`]],
    ["docker-compose up -d", ["docker-compose", "--project-directory", folder, "up", "-d"]],
  ]);
  const times = new Map([...ways.keys()].map((name) => [name, [] as number[]]));
  try {
    for (let round = 0; round < rounds; round++) {
      for (const [name, command] of ways) {
        times.get(name)!.push(await run(command));
        await run(agent("teardown", id));
      }
    }
  } finally {
    await run(agent("teardown", id)).finally(() => run(["docker", "rmi", image]));
  }
  const floor = median(times.get("bare calls")!);
  const rows = [[`${deckies} deckies, ${deckies} services`, "median s", "ratio to bare calls"]];
  for (const [name, ms] of times) {
    rows.push([name, (median(ms) / 1000).toFixed(2), (median(ms) / floor).toFixed(2)]);
  }
  console.log(table(rows));
  const compose = median(times.get("docker-compose up -d")!);
  const apply = median(times.get("decnet-agent apply")!);
  printFigures([{
    name: `an apply of ${deckies} deckies on the real engine ÷ docker-compose`,
    goal: "< 1 ×",
    measured: `${(apply / compose).toFixed(2)} ×`,
    met: apply < compose,
  }]);
} finally {
  await Deno.remove(folder, { recursive: true });
}
