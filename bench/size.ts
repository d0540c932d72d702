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

import {
  container,
  type ContainerItem,
  containerOf,
  type NetworkItem,
  networkOf,
} from "../tests/support/engine/state.ts";
import { defaultImages, planDocument } from "../topology/plan.ts";
import {
  compileProgram,
  type Figure,
  measureInTurn,
  printFigures,
  startStandIn,
  table,
} from "./harness.ts";
import { plot, type Series } from "./plot.ts";

/** A topology whose deckies have one service each, as a document. */
export function topologyOf(
  deckies: number,
  { services = ["ssh"] }: { services?: readonly string[] } = {},
): string {
  const lans = Math.max(1, Math.min(20, Math.floor(deckies / 5)));
  const address = (index: number) => `10.${index % lans}.${1 + (index >> 8)}.${index & 255}`;
  return JSON.stringify({
    topology: { id: "51ze0000-0000-4000-8000-000000000000", name: "size", mode: "agent" },
    lans: Array.from({ length: lans }, (_, index) => ({
      id: `lan-${index}`,
      name: `lan-${index}`,
      subnet: `10.${index}.0.0/16`,
      is_dmz: index === 0,
    })),
    deckies: Array.from({ length: deckies }, (_, index) => ({
      uuid: `decky-${index}`,
      name: `decky-${index}`,
      services,
      decky_config: {
        name: `decky-${index}`,
        // One in ten is on the DMZ as well, so that each LAN has a way there.
        ips_by_lan: {
          [`lan-${index % lans}`]: address(index),
          ...(index % lans !== 0 && index < 10 * lans &&
            { "lan-0": `10.0.250.${10 + index}` }),
        },
        service_config: { ssh: { banner: `OpenSSH_9.2p1 Debian-2+deb12u${index % 7}` } },
      },
    })),
    edges: [],
  });
}

/** What runs of a topology, as the engine lists it. */
export async function runningOf(
  document: string,
): Promise<{ networks: NetworkItem[]; containers: ContainerItem[] }> {
  const plan = await planDocument(document, defaultImages);
  return { networks: plan.networks.map(networkOf), containers: plan.containers.map(containerOf) };
}

/** A container of somebody else's web application: with ports, a volume and a tool's many labels. */
export function foreignContainer(index: number): ContainerItem {
  const project = `shop-${index % 100}`;
  const labels: Record<string, string> = {
    "com.docker.compose.config-hash": index.toString(16).padStart(64, "c"),
    "com.docker.compose.container-number": "1",
    "com.docker.compose.depends_on": "database:service_healthy:false,cache:service_started:false",
    "com.docker.compose.image": `sha256:${"3f".repeat(32)}`,
    "com.docker.compose.oneoff": "False",
    "com.docker.compose.project": project,
    "com.docker.compose.project.config_files": `/srv/applications/${project}/docker-compose.yml`,
    "com.docker.compose.project.working_dir": `/srv/applications/${project}`,
    "com.docker.compose.service": "web",
    "com.docker.compose.version": "2.24.5",
    "org.opencontainers.image.source": "https://example.com/shop/web",
  };
  const item = container({
    name: `${project}-web-${index}`,
    image: "registry.example.com/shop/web:4.2.1",
    labels,
    addresses: { [`${project}_default`]: `172.20.${index >> 8 & 255}.${index & 255}` },
  });
  item.Ports = [443, 8080].flatMap((port) =>
    ["0.0.0.0", "::"].map((IP) => ({
      IP,
      PrivatePort: port,
      PublicPort: 20_000 + index,
      Type: "tcp",
    }))
  );
  item.Mounts = [{
    Type: "volume",
    Name: `${project}_data`,
    Source: `/var/lib/docker/volumes/${project}_data/_data`,
    Destination: "/var/lib/shop",
    Driver: "local",
    Mode: "z",
    RW: true,
    Propagation: "",
  }];
  return item;
}

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
