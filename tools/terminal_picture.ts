// deno-lint-ignore-file no-console no-control-regex
/**
 * Makes docs/pictures/terminal.svg: what the executable prints on a terminal when a topology has
 * drifted. Needs dist/decnet-agent and script(1): `deno run -q -A tools/terminal_picture.ts`
 */

import { container } from "../tests/support/engine/state.ts";
import { binary, execute, Host } from "../tests/support/executable.ts";

const file = new URL("../docs/pictures/terminal.svg", import.meta.url).pathname;
const columns = 88;
const id = "5e1f0a3c-6d2b-4c8e-9a71-3b0d5c7e2f14";
const document = {
  topology: { id, name: "example" },
  lans: [
    { name: "DMZ", subnet: "198.18.0.0/24", is_dmz: true },
    { name: "OFFICE", subnet: "198.18.1.0/24", is_dmz: false },
  ],
  deckies: [
    decky("web", { DMZ: "198.18.0.10", OFFICE: "198.18.1.10" }, { http: "nginx:alpine" }),
    decky("db", { OFFICE: "198.18.1.20" }, { redis: "redis:alpine" }),
    decky("files", { OFFICE: "198.18.1.30" }, { smb: "samba:4", ssh: "openssh:9" }),
  ],
};

function decky(name: string, ips_by_lan: object, images: Record<string, string>): object {
  const services = Object.entries(images).map(([service, image]) => [service, { image }]);
  const config = { ips_by_lan, forwards_l3: false, service_config: Object.fromEntries(services) };
  return { name, services: Object.keys(images), decky_config: config };
}

/** Applies the topology to a stand-in engine, lets it drift, and records the commands. */
async function record(commands: readonly string[]): Promise<string> {
  await using host = await Host.create();
  const engine = await host.startEngine();
  engine.images = ["debian:bookworm-slim", "nginx:alpine", "redis:alpine", "samba:4", "openssh:9"];
  const path = `${host.folder}/topology.json`;
  await Deno.writeTextFile(path, JSON.stringify(document));
  const { code, stderr } = await execute(["apply", path, ...host.flags()]);
  if (code !== 0) throw new Error(`Cannot apply the topology: ${stderr}`);
  const prefix = `/decnet_t_${id.slice(0, 8)}`;
  const stopped = `${prefix}_files-ssh`;
  engine.containers = [
    ...engine.containers.filter(({ Names: [name] }) => name !== `${prefix}_db-redis`)
      .map((it) => it.Names[0] === stopped ? { ...it, State: "exited" as const } : it),
    container({ name: `${prefix.slice(1)}_miner` }),
  ];
  const lines = commands.map((it) => `printf '\\033[1m$ %s\\033[0m\\n' '${it}'; ${it}`);
  const { stdout } = await new Deno.Command("script", {
    args: ["-qec", `stty cols ${columns}; ${lines.join("; ")}; true`, "/dev/null"],
    env: {
      PATH: `${binary.slice(0, binary.lastIndexOf("/"))}:${Deno.env.get("PATH") ?? ""}`,
      ...{ HOME: "/nonexistent", SHELL: "/bin/sh", TERM: "xterm" },
      ...{ DECNET_DOCKER_HOST: `unix://${host.socket}`, DECNET_STATE_DIR: host.stateDirectory },
    },
    ...{ clearEnv: true, stdin: "null" },
  }).output();
  return new TextDecoder().decode(stdout);
}

const colours = "#484f58 #ff7b72 #3fb950 #e3b341 #79c0ff #d2a8ff #56d4dd #d1d7e0".split(" ");

/** Draws what a terminal shows: lines are wrapped, colours and bold text become spans. */
function draw(output: string): string {
  const rows = [""];
  let [column, style, last] = [0, "", ""];
  for (const [token] of output.matchAll(/\x1b\[[\d;]*m|\r?\n|[^]/gu)) {
    if (token.startsWith("\x1b")) {
      const codes = token.slice(2, -1).split(";").map(Number);
      const colour = codes.find((code) => code >= 30 && code < 38 || code >= 90 && code < 98);
      style = (codes.includes(1) ? ' font-weight="bold"' : "") +
        (colour ? ` fill="${colours[colour % 10]}"` : "");
      continue;
    }
    if (token.endsWith("\n") || column === columns) [column, last] = [0, "", rows.push("")];
    if (token.endsWith("\n")) continue;
    column++;
    const text = token.replace(/[ &<>]/, (it) => it === " " ? "\u00a0" : `&#${it.charCodeAt(0)};`);
    // A character of the same style goes into the span before it.
    const [start, end] = style ? [`<tspan${style}>`, "</tspan>"] : ["", ""];
    const row = rows.pop()!;
    const more = text + end;
    rows.push(style && style === last ? row.slice(0, -end.length) + more : row + start + more);
    last = style;
  }
  const height = 40 + 20 * rows.length;
  const texts = rows.map((row, index) => `<text x="20" y="${35 + 20 * index}">${row}</text>`);
  return `<svg xmlns="http://www.w3.org/2000/svg" width="790" height="${height}" role="img">
<title>decnet-agent in a terminal: --once warns of drift, state draws the topology as a tree</title>
<rect width="790" height="${height}" rx="10" fill="#0d1117"/>
<g font-family="ui-monospace, monospace" font-size="14" fill="#d1d7e0">
${texts.join("\n")}
</g></svg>
`;
}

if (import.meta.main) {
  await Deno.writeTextFile(file, draw(await record(["decnet-agent --once", "decnet-agent state"])));
  console.log(file);
}
