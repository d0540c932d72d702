import assert from "node:assert/strict";
import { oneLan } from "../support/apply_host.ts";
import { FakeEngine } from "../support/engine/fake_engine.ts";
import { execute, Host, ListeningHost, RunningAgent } from "../support/executable.ts";
import { requirement, works } from "../support/requirements.ts";

/** The shortest interval that can be configured. */
const interval = "--interval=5s";

Deno.test("decnet-agent sends until SIGTERM, without logs or new descriptors", async () => {
  await using host = await Host.create();
  await host.startEngine();
  const { master } = await host.startMaster();
  await using agent = new RunningAgent([interval, ...host.flags(master)]);
  await agent.until(() => master.heartbeatCount >= 2);
  const filesBefore = agent.openFiles().length;
  await agent.until(() => master.heartbeatCount >= 3);
  assert.equal(agent.openFiles().length, filesBefore);
  assert.equal(master.connectionCount, 1);
  const { stderr } = await agent.stop("SIGTERM");
  assert.deepEqual(stderr.match(/msg=\S+/g), ["msg=started", "msg=stopped"], stderr);
});

Deno.test("D1 decnet-agent stops within 2 s while the engine hangs", async () => {
  await using host = await Host.create();
  const engine = await host.startEngine();
  engine.fault = { kind: "hang" };
  await using agent = new RunningAgent([interval, ...host.flags()]);
  await agent.until(() => engine.requestCount > 0);
  await agent.stop("SIGINT");
});

/** Replaces systemd's socket, and keeps the last status. */
class StatusListener implements AsyncDisposable {
  readonly path: string;
  readonly #socket: Deno.DatagramConn;
  readonly #reading: Promise<void>;
  status = "";

  constructor(folder: string) {
    this.path = `${folder}/notify.sock`;
    this.#socket = Deno.listenDatagram({ transport: "unixpacket", path: this.path });
    this.#reading = this.#read();
  }

  async #read(): Promise<void> {
    for await (const [bytes] of this.#socket) {
      const text = new TextDecoder().decode(bytes);
      this.status = /^STATUS=(.*)$/m.exec(text)?.[1] ?? this.status;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.close();
    await this.#reading;
  }
}

Deno.test("decnet-agent updates its status without a master and a metrics file", async () => {
  await using host = await Host.create();
  const engine = await host.startEngine();
  await using listener = new StatusListener(host.folder);
  const env = { NOTIFY_SOCKET: listener.path };
  await using agent = new RunningAgent([interval, ...host.flags()], { env });
  await agent.until(() => listener.status.startsWith("idle, "));
  engine.fault = { kind: "reset" };
  await agent.until(() => listener.status.startsWith("Cannot "));
});

/** A host whose agent reads its configuration from a file. */
class FileHost {
  readonly #file: string;

  constructor(readonly host: Host) {
    this.#file = `${host.folder}/decnet.ini`;
  }

  /** The arguments of the agent. */
  get flags(): string[] {
    return ["--config", this.#file, `--docker-host=unix://${this.host.socket}`];
  }

  write(values: Record<string, string | number>): void {
    const all: typeof values = {
      "state-dir": this.host.stateDirectory,
      "agent-dir": this.host.agentDirectory,
      "interval": "5s",
      "host-uuid": "host-1",
      "master-host": "127.0.0.1",
      "master-name": "master.test",
      ...values,
    };
    const lines = Object.entries(all).map(([key, value]) => `${key} = ${value}\n`);
    Deno.writeTextFileSync(this.#file, `[agent]\n${lines.join("")}`);
  }
}

/** The id in the last heartbeat. */
function uuidOf({ heartbeats }: { heartbeats: readonly { body: unknown }[] }): string | undefined {
  return (heartbeats.at(-1)?.body as { host_uuid: string } | undefined)?.host_uuid;
}

Deno.test("decnet-agent reloads its configuration at SIGHUP, and sends at once", async () => {
  await using host = await Host.create();
  await host.startEngine();
  const { master } = await host.startMaster();
  const file = new FileHost(host);
  file.write({ "swarmctl-port": master.port });
  await using agent = new RunningAgent(file.flags);
  await agent.until(() => uuidOf(master) === "host-1");
  file.write({ "swarmctl-port": master.port, "host-uuid": "host-2", "interval": "1h" });
  agent.signal("SIGHUP");
  await agent.until(() => uuidOf(master) === "host-2");
  assert.match(agent.stderr, /msg="the configuration was read again" .*host=host-2 interval=3600s/);
  await agent.stop();
});

Deno.test("C7 decnet-agent answers the calls that wait before it reloads", async () => {
  await using listening = await ListeningHost.create();
  const engine = await listening.host.startEngine();
  engine.images = oneLan.plan.containers.map(({ request }) => request.Image);
  await using agent = new RunningAgent(listening.flags);
  await agent.until(() => agent.stderr.includes("msg=listening"));
  engine.latencyMs = 100;
  const post = (path: string, body: string) => listening.call(path, { method: "POST", body });
  const { text, versionHash, plan } = oneLan;
  const body = `{"hydrated":${text},"version_hash":"${versionHash}"}`;
  const applied = post("/topology/apply", body);
  await agent.until(() => engine.changes.length > 0);
  const tornDown = post("/topology/teardown", JSON.stringify({ topology_id: plan.topologyId }));
  await new Promise((resolve) => setTimeout(resolve, 100));
  agent.signal("SIGHUP");
  assert.deepEqual([(await applied).status, (await tornDown).status], [200, 200]);
  assert.deepEqual([engine.networks, engine.containers], [[], []]);
  await agent.until(() => agent.stderr.includes("the configuration was read again"));
});

Deno.test("decnet-agent keeps its configuration when the new one is wrong", async () => {
  await using host = await Host.create();
  await host.startEngine();
  const { master } = await host.startMaster();
  const file = new FileHost(host);
  const good = { "swarmctl-port": master.port };
  file.write(good);
  await using agent = new RunningAgent(file.flags);
  await agent.until(() => master.heartbeatCount >= 1);
  const wrong: [values: Record<string, string>, says: string][] = [
    [{ interval: "never" }, "interval: 'never' (from "],
    [{ "state-dir": `${host.folder}/other` }, "another state-dir needs a restart of the agent"],
    [{ "agent-dir": `${host.folder}/other` }, "/other/ca.crt: no such file"],
  ];
  for (const [values, says] of wrong) {
    file.write({ ...good, ...values });
    agent.signal("SIGHUP");
    await agent.until(() => agent.stderr.includes(says));
    const before = master.heartbeatCount;
    await agent.until(() => master.heartbeatCount > before);
  }
  const stays = agent.stderr.match(/msg="the configuration stays as it was: /g);
  assert.equal(stays?.length, wrong.length);
  file.write({ ...good, "host-uuid": "host-2" });
  agent.signal("SIGHUP");
  await agent.until(() => uuidOf(master) === "host-2");
});

const namespaces = requirement(
  "unshare and the right to mount",
  await works("unshare", "--mount", "true"),
);

namespaces.test("decnet-agent stays with an engine that has answered", async () => {
  await using host = await Host.create();
  const { master } = await host.startMaster();
  const folder = host.folder;
  await Deno.mkdir(`${folder}/podman`);
  const earlier = `${folder}/docker.sock`;
  // Hides the engines of this machine.
  const wrapper = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs tmpfs /run && exec "$0" "$@"'];
  const flags = host.flags(master).filter((flag) => !flag.startsWith("--docker-host"));
  const env = { XDG_RUNTIME_DIR: folder };
  const podman = await FakeEngine.start(`${folder}/podman/podman.sock`);
  await using agent = new RunningAgent([interval, ...flags], { wrapper, env });
  await agent.until(() => podman.requestCount > 0 && master.heartbeatCount > 0);
  await using docker = await FakeEngine.start(earlier);
  const before = master.heartbeatCount;
  await agent.until(() => master.heartbeatCount > before + 1);
  await podman.stop();
  await agent.until(() =>
    /podman\/podman\.sock: (no such file|connection refused)/.test(agent.stderr)
  );
  assert.equal(docker.requestCount, 0);
  agent.signal("SIGHUP");
  await agent.until(() => docker.requestCount > 0);
});

/** Runs a test on a host with one name server, at `address`, and its own hosts file. */
async function withNames(
  address: string,
  test: (host: { args: string[]; wrapper: string[]; heal(): Promise<void> }) => Promise<void>,
): Promise<void> {
  await using host = await Host.create();
  await host.startEngine();
  const { master } = await host.startMaster();
  const folder = host.agentDirectory;
  await Deno.writeTextFile(
    `${folder}/resolv.conf`,
    `nameserver ${address}\noptions timeout:30 attempts:1\n`,
  );
  await Deno.writeTextFile(`${folder}/nsswitch.conf`, "hosts: files dns\n");
  await Deno.writeTextFile(`${folder}/hosts`, "127.0.0.1 localhost\n");
  const mounts = ["resolv.conf", "nsswitch.conf", "hosts"].map((it) =>
    `mount --bind ${folder}/${it} /etc/${it}`
  );
  const mount = `touch /etc/nsswitch.conf && ${mounts.join(" && ")} && exec "$0" "$@"`;
  await test({
    args: host.flags(master).map((flag) => flag.replace("host=127.0.0.1", "host=master.test"))
      .concat("--interval=5s"),
    wrapper: ["unshare", "--mount", "sh", "-c", mount],
    heal: () => Deno.writeTextFile(`${folder}/hosts`, "127.0.0.1 localhost master.test\n"),
  });
}

const concurrent = { sanitizeOps: false, sanitizeResources: false, sanitizeExit: false };

namespaces.test("M14 decnet-agent survives a name server that", async (test) => {
  // Receives queries and never answers.
  const address = { hostname: "127.13.7.53", port: 53, transport: "udp" } as const;
  const silent = Deno.listenDatagram(address);
  const cases = [
    [
      "never answers",
      "127.13.7.53",
      "no connection within 5 s; see master-host, and what filters packets between",
    ],
    [
      "is absent",
      "127.0.0.55",
      "its name cannot be resolved; see master-host, and this host's name servers",
    ],
  ] as const;
  const steps = cases.map(([name, address, words]) =>
    test.step({
      name,
      ...concurrent,
      fn: () =>
        withNames(address, async ({ args, wrapper, heal }) => {
          const says = new RegExp(`Cannot reach the master at master\\.test:\\d+: ${words}`);
          await using agent = new RunningAgent(args, { wrapper });
          const once = await execute(["--once", ...args], { wrapper });
          assert.equal(once.code, 2, once.stdout + once.stderr);
          assert.match(once.stdout, says);
          assert.ok(once.stdout.startsWith("DECNET CRITICAL - "));
          assert.ok(once.elapsedMs < 10_000, `${once.elapsedMs} ms`);
          await agent.until(() => says.test(agent.stderr));
          await heal();
          await agent.until(() => agent.stderr.includes("the master accepts heartbeats again"));
          await agent.stop("SIGTERM");
        }),
    })
  );
  const passed = await Promise.all(steps);
  silent.close();
  assert.ok(passed.every((isOk) => isOk));
});
