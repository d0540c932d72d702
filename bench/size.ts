/**
 * Measures a health check with 10 to 10,000 containers on the host, beside curl, which asks for the
 * same two lists, all of them: `deno task bench:size [RUNS [MOST]]`. The engine is a stand-in with
 * bodies like Docker's, which answers at once or takes the time of Docker; it runs 10 managed
 * containers and many foreign ones, or only managed ones. Needs curl.
 */

import { figure, measureInTurn, printFigures, printTable } from "./harness.ts";
import { startStandIn, withAgent } from "./harness.ts";

const [runs = "21", most = "10000"] = Deno.args;
const sizes = [10, 100, 1_000, 10_000].filter((it) => it <= Number(most));
const parts = ["10 are managed", "all are managed"];
const hosts = sizes.flatMap((containers) =>
  ["at once", "Docker"].flatMap((pace) => parts.map((part) => ({ containers, pace, part })))
);
type Host = typeof hosts[number];
type Row = Host & Readonly<Record<"onceMs" | "curlMs" | "onceMiB" | "curlMiB", number>>;

await withAgent(async (folder) => {
  const rows: Row[] = [];
  for (const host of hosts) rows.push(await measure(folder, host, rows.length));
  printTable(
    ["containers", "", "engine", "--once ms", "curl ms", "ratio", "MiB", "curl MiB"],
    rows.map((row) => [
      ...[row.containers.toLocaleString("en"), row.part, row.pace, row.onceMs.toFixed(1)],
      ...[row.curlMs.toFixed(1), (row.onceMs / row.curlMs).toFixed(2)],
      ...[row.onceMiB.toFixed(0), row.curlMiB.toFixed(0)],
    ]),
  );
  const largest = rows.filter(({ containers }) => containers === sizes.at(-1));
  printFigures(largest.map(({ containers, pace, part, onceMs, curlMs }) => {
    const what = `${containers.toLocaleString("en")} containers, ${part}, ${pace}`;
    const canTell = containers === 10_000;
    if (part === parts[0]) {
      return figure(`--once ÷ curl, ${what}`, onceMs / curlMs, "≤ 1.5 ×", 2, canTell);
    }
    const isWaiting = pace !== "at once";
    if (isWaiting) return [`--once ÷ curl, ${what}`, "", `${(onceMs / curlMs).toFixed(2)} ×`, ""];
    return figure(`--once, ${what}`, onceMs, "≤ 400 ms", 0, canTell);
  }));
});

async function measure(folder: string, host: Host, index: number): Promise<Row> {
  const { containers, pace, part } = host;
  const state = `${folder}/${index}`;
  await Deno.mkdir(state);
  const socket = `${state}/docker.sock`;
  const managed = part === parts[0] ? 10 : containers;
  await using _engine = await startStandIn("engine", [socket, containers, managed, pace], socket);
  await Deno.rename(`${socket}.db`, `${state}/topology.db`);
  const lists = ["/networks", "/containers/json?all=1"].flatMap((path) => {
    return ["--output", "/dev/null", `http://localhost${path}`];
  });
  const curl = ["curl", "--silent", "--fail", "--unix-socket", socket, ...lists];
  const docker = `--docker-host=unix://${socket}`;
  const once = [`${folder}/agent`, "--once", `--state-dir=${state}`, docker];
  const medians = await measureInTurn({ curl, once }, Number(runs));
  const { ms: onceMs, mib: onceMiB } = medians.get("once")!;
  const { ms: curlMs, mib: curlMiB } = medians.get("curl")!;
  return { ...host, onceMs, curlMs, onceMiB, curlMiB };
}
