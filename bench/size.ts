// deno-lint-ignore-file no-console
/**
 * What a health check costs with 10 to 10,000 containers on the host, beside curl that asks for the
 * same two lists, all of them: `deno task bench:size [RUNS [MOST]]`. The engine is a stand-in with
 * bodies like Docker's, which answers at once or takes the time of Docker; it runs 10 containers of
 * ours and many foreign ones, or only ours. Needs curl. Without arguments it also draws
 * docs/pictures/size-*.svg.
 *
 * @module
 */
import { compileProgram, type Figure, printFigures, startStandIn, table } from "./harness.ts";
import { plot, type Series } from "./plot.ts";
import { measureInTurn } from "./processes.ts";

const bound = 1.5;
const whose = ["10 are ours", "all are ours"] as const;
const paces = ["at once", "Docker"] as const;

/** One host: the medians of both commands there. */
interface Row {
  readonly pace: typeof paces[number];
  readonly whose: typeof whose[number];
  readonly containers: number;
  readonly onceMs: number;
  readonly curlMs: number;
  readonly onceMiB: number;
  readonly curlMiB: number;
}

async function main([runs = "21", most = "10000"]: readonly string[]): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "decnet-bench-" });
  try {
    await compileProgram("main.ts", `${folder}/agent`);
    const rows: Row[] = [];
    for (const containers of [10, 100, 1_000, 10_000].filter((it) => it <= Number(most))) {
      for (const pace of paces) {
        for (const who of whose) {
          const ours = who === "10 are ours" ? 10 : containers;
          const host = { folder: `${folder}/${rows.length}`, containers, ours, pace };
          rows.push({ pace, whose: who, containers, ...await measure(host, Number(runs)) });
        }
      }
    }
    report(rows);
    if (Deno.args.length === 0) draw(rows);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function measure(
  host: { readonly folder: string; readonly ours: number } & Pick<Row, "containers" | "pace">,
  runs: number,
): Promise<Omit<Row, "whose" | "containers" | "pace">> {
  await Deno.mkdir(`${host.folder}/state`, { recursive: true });
  const socket = `${host.folder}/docker.sock`;
  const args = [socket, String(host.containers), String(host.ours), host.pace];
  await using _engine = await startStandIn("crowded_engine", args, socket);
  await Deno.rename(`${socket}.db`, `${host.folder}/state/topology.db`);
  const once = [
    `${host.folder}/../agent`,
    "--once",
    `--state-dir=${host.folder}/state`,
    `--docker-host=unix://${socket}`,
  ] as const;
  const lists = ["/networks", "/containers/json?all=1"].flatMap((path) => {
    return ["--output", "/dev/null", `http://localhost${path}`];
  });
  const curl = ["curl", "--silent", "--fail", "--unix-socket", socket, ...lists] as const;
  // The first run fills the caches.
  await measureInTurn({ curl, once }, 1);
  const medians = await measureInTurn({ curl, once }, runs);
  const { ms: onceMs, mib: onceMiB } = medians.get("once")!;
  const { ms: curlMs, mib: curlMiB } = medians.get("curl")!;
  return { onceMs, curlMs, onceMiB, curlMiB };
}

function report(rows: readonly Row[]): void {
  const cells = rows.map(({ pace, whose, containers, onceMs, curlMs, onceMiB, curlMiB }) => [
    containers.toLocaleString("en"),
    whose,
    pace,
    onceMs.toFixed(1),
    curlMs.toFixed(1),
    (onceMs / curlMs).toFixed(2),
    onceMiB.toFixed(0),
    curlMiB.toFixed(0),
  ]);
  const heads = ["containers", "", "engine", "--once ms", "curl ms", "ratio", "MiB", "curl MiB"];
  console.log(table([heads, ...cells]));
  const most = rows.at(-1)!.containers;
  const figures = rows.filter((it) => it.containers === most).map((row): Figure => {
    const { pace, whose, onceMs, curlMs } = row;
    const hasGoal = whose === "10 are ours";
    const engine = pace === "at once" ? "an engine that answers at once" : "Docker's time";
    return {
      name: `--once ÷ curl, ${most.toLocaleString("en")} containers, ${whose}, ${engine}`,
      goal: hasGoal ? `≤ ${bound}` : "",
      measured: (onceMs / curlMs).toFixed(2),
      met: hasGoal && most === 10_000 ? onceMs / curlMs <= bound : null,
    };
  });
  printFigures(figures);
}

function draw(rows: readonly Row[]): void {
  const atOnce = rows.filter(({ pace }) => pace === "at once");
  const asDocker = rows.filter(({ pace }) => pace === "Docker");
  const pictures = [
    ["time", "Wall time, an engine that takes Docker's time", asDocker, "onceMs", "curlMs"],
    ["own-time", "Wall time, an engine that answers at once", atOnce, "onceMs", "curlMs"],
    ["memory", "Peak memory", atOnce, "onceMiB", "curlMiB"],
  ] as const;
  for (const [name, title, of, once, curl] of pictures) {
    const label = once === "onceMs" ? "milliseconds" : "MiB";
    const series = whose.flatMap((who): Series[] =>
      ([["--once", once], ["curl", curl]] as const).map(([command, key]) => ({
        name: `${command}, ${who}`,
        points: of.filter((it) => it.whose === who).map((it) => [it.containers, it[key]] as const),
      }))
    );
    const values = series.flatMap(({ points }) => points.map(([, y]) => y));
    const listed = series.map(({ name, points }) => {
      return `${name}: ${points.map(([, y]) => y.toFixed(0)).join(", ")}`;
    });
    const picture = plot({
      title,
      description: `${label} at 10, 100, 1,000 and 10,000 containers. ${listed.join("; ")}.`,
      x: { label: "containers on the host", log: true },
      y: { label, log: true, from: Math.min(...values) * 0.8, to: Math.max(...values) * 1.25 },
      series,
    });
    const file = new URL(`../docs/pictures/size-${name}.svg`, import.meta.url);
    Deno.writeTextFileSync(file, picture);
    console.log(`${file.pathname}: ${picture.length} bytes`);
  }
}

if (import.meta.main) await main(Deno.args);
