import { TopologyStore } from "../../store/mod.ts";
import { binary, execute, Host } from "../../tests/binary/host.ts";
import { container } from "../../tests/engine/mod.ts";

/** How wide the terminal is. */
export const columns = 88;

/** On subnets that no machine has an address in. */
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

function decky(
  name: string,
  addresses: Record<string, string>,
  images: Record<string, string>,
): object {
  const services = Object.entries(images).map(([service, image]) => [service, { image }]);
  return {
    name,
    services: Object.keys(images),
    decky_config: {
      ips_by_lan: addresses,
      forwards_l3: Object.keys(addresses).length > 1,
      service_config: Object.fromEntries(services),
    },
  };
}

/**
 * What a terminal gets when the executable has applied a topology, and somebody has been at its
 * containers since: the commands behind a prompt, and what they print. The engine is a stand-in. Two
 * times are made to stand still: that of the apply, and how long the engine took.
 */
export async function recordSession(commands: readonly string[]): Promise<string> {
  await using host = await Host.create();
  const engine = await host.startEngine();
  engine.images = ["debian:bookworm-slim", "nginx:alpine", "redis:alpine", "samba:4", "openssh:9"];
  const file = `${host.folder}/topology.json`;
  await Deno.writeTextFile(file, JSON.stringify(document));
  const { code, stdout, stderr } = await execute(["apply", file, ...host.flags()]);
  if (code !== 0) throw new Error(`Cannot apply the topology: ${stdout}${stderr}`);
  {
    using store = TopologyStore.open(host.storePath, { now: () => Date.UTC(2026, 0, 31, 9, 30) });
    const applied = store.current()!;
    store.put(applied.topologyId, applied.versionHash, applied.document);
  }
  const prefix = `decnet_t_${id.slice(0, 8)}`;
  engine.containers = [
    ...engine.containers.filter(({ Names: [name] }) => name !== `/${prefix}_db-redis`)
      .map((item) =>
        item.Names[0] === `/${prefix}_files-ssh`
          ? { ...item, State: "exited" as const, Status: "Exited (137) 3 minutes ago" }
          : item
      ),
    container({ name: `${prefix}_miner` }),
  ];
  return (await onTerminal(commands, host)).replaceAll(/docker=\d\.\d{3}s/g, "docker=0.004s");
}

/** Shows each command behind a prompt and runs it, with the exit code of the one before as `$?`. */
const shell = `
code=0
for command; do
  printf '\\033[32m$\\033[0m \\033[1m%s\\033[0m\\n' "$command"
  (exit $code)
  eval "$command"
  code=$?
done
`;

async function onTerminal(commands: readonly string[], host: Host): Promise<string> {
  const file = `${host.folder}/session.sh`;
  await Deno.writeTextFile(file, shell);
  const quoted = commands.map((command) => `'${command.replaceAll("'", `'\\''`)}'`);
  const { stdout } = await new Deno.Command("script", {
    args: ["-qec", `stty cols ${columns}; sh ${file} ${quoted.join(" ")}`, "/dev/null"],
    env: {
      PATH: `${binary.slice(0, binary.lastIndexOf("/"))}:${Deno.env.get("PATH") ?? ""}`,
      HOME: "/nonexistent",
      SHELL: "/bin/sh",
      TERM: "xterm",
      DECNET_DOCKER_HOST: `unix://${host.socket}`,
      DECNET_STATE_DIR: host.stateDirectory,
      DECNET_AGENT_DIR: host.agentDirectory,
    },
    clearEnv: true,
    stdin: "null",
  }).output();
  return new TextDecoder().decode(stdout);
}
