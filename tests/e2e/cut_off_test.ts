import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import Docker from "dockerode";
import { type Authority, createAuthority, writeAgentDirectory } from "../support/certificates.ts";
import { TemporaryFolder, until } from "../support/environment.ts";
import { type Ended, execute, RunningAgent } from "../support/executable.ts";
import { requirement, works } from "../support/requirements.ts";
import { pausingImage } from "../engines/pausing_image.ts";

const possible = requirement(
  "dockerd, ip and nsenter, as root",
  await works("dockerd", "--version") &&
    await works("nsenter", "--net=/proc/self/ns/net", "ip", "link", "show", "lo"),
);

const id = "5e1f0a3c-6d2b-4c8e-9a71-3b0d5c7e2f14";
const hostUuid = "11111111-aaaa-4bbb-8ccc-222222222222";
const image = "pausing:1";
const network = "decnet_t_5e1f0a3c_dmz";
const document = JSON.stringify({
  topology: { id, name: "example" },
  lans: [{ name: "DMZ", subnet: "10.241.0.0/24", is_dmz: true }],
  deckies: [{
    name: "web",
    services: ["http"],
    decky_config: { ips_by_lan: { DMZ: "10.241.0.10" } },
  }],
});

async function run(command: string): Promise<string> {
  const [program, ...args] = command.split(" ") as [string, ...string[]];
  const { success, stdout, stderr } = await new Deno.Command(program, { args }).output();
  const text = new TextDecoder().decode(stdout);
  assert.ok(success, `${command}: ${text}${new TextDecoder().decode(stderr)}`);
  return text;
}

/**
 * A host with an engine of its own, and the router that its master runs on, each in a network
 * namespace. The host is 198.51.100.2; the router is 198.51.100.1 and has addresses beyond.
 */
class RoutedHost implements AsyncDisposable {
  readonly #tag = crypto.randomUUID().slice(0, 6);
  readonly #host = `decnet-h-${this.#tag}`;
  readonly #router = `decnet-r-${this.#tag}`;
  readonly #processes: Deno.ChildProcess[] = [];
  readonly folder = new TemporaryFolder();
  readonly socket = `${this.folder.path}/docker.sock`;
  readonly docker = new Docker({ socketPath: this.socket });
  #authority: Authority | null = null;

  static async start(): Promise<RoutedHost> {
    const host = new RoutedHost();
    await host.#makeNamespaces();
    await Promise.all([host.#startEngine(), host.#startMaster()]);
    return host;
  }

  /** Runs `ip` on the host. */
  onHost = (command: string) => run(`ip -n ${this.#host} ${command}`);
  /** Runs `ip` on the router. */
  onRouter = (command: string) => run(`ip -n ${this.#router} ${command}`);

  /** Runs the agent on the host, with a master at an address. */
  agent(master: string, ...args: string[]): Promise<Ended> {
    return execute([...args, ...this.#flags(master)], { wrapper: this.#inside });
  }

  /** Starts the loop with its API; it is reached from the router. */
  startLoop(master: string): RunningAgent {
    const args = ["--listen=0.0.0.0:8765", "--interval=60s", ...this.#flags(master)];
    return new RunningAgent(args, { wrapper: this.#inside });
  }

  /** Pushes the document from an address of the router; returns the answer. */
  async push(from: string): Promise<string> {
    const { path } = this.folder;
    const { stdout } = await this.agent("198.51.100.1", "hash", `${path}/document.json`);
    const body = JSON.stringify({
      hydrated: JSON.parse(document),
      version_hash: stdout.split(/\s/)[0],
    });
    await Deno.writeTextFile(`${path}/body.json`, body);
    return await run(
      `nsenter --net=/run/netns/${this.#router} curl --silent --insecure --max-time 30 ` +
        `--interface ${from} --cert ${path}/master.crt --key ${path}/master.key ` +
        `--data @${path}/body.json https://198.51.100.2:8765/topology/apply`,
    );
  }

  /** The names of the LANs' networks in the engine. */
  async networks(): Promise<string[]> {
    const all: { Name: string }[] = await this.docker.listNetworks();
    return all.map(({ Name }) => Name).filter((name) => name.startsWith("decnet_"));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const process of this.#processes) {
      process.kill("SIGTERM");
      await process.status;
    }
    await run(`ip netns del ${this.#host}`);
    await run(`ip netns del ${this.#router}`);
    this.folder[Symbol.dispose]();
  }

  get #inside(): string[] {
    return ["nsenter", `--net=/run/netns/${this.#host}`];
  }

  #flags(master: string): string[] {
    const { path } = this.folder;
    return [
      `--docker-host=unix://${this.socket}`,
      `--state-dir=${path}/state`,
      `--agent-dir=${path}`,
      ...[`--master-host=${master}`, "--master-name=master.test", `--host-uuid=${hostUuid}`],
      ...[`--base-image=${image}`, `--service-image=${image}`],
    ];
  }

  async #makeNamespaces(): Promise<void> {
    for (const name of [this.#host, this.#router]) await run(`ip netns add ${name}`);
    await this.onHost(`link add h0 type veth peer name r0 netns ${this.#router}`);
    await this.onRouter("link set lo up");
    await this.onRouter("address add 198.51.100.1/24 dev r0");
    await this.onRouter("link set r0 up");
    for (const it of ["10.241.0.200", "10.241.0.1", "203.0.113.9"]) {
      await this.onRouter(`address add ${it}/32 dev lo`);
    }
    await this.onHost("link set lo up");
    await this.onHost("link set h0 up");
    await this.onHost("address add 198.51.100.2/24 dev h0");
    await this.onHost("route add default via 198.51.100.1");
  }

  async #startEngine(): Promise<void> {
    const { path } = this.folder;
    this.#start(
      `nsenter --net=/run/netns/${this.#host} dockerd --data-root ${path}/data ` +
        `--exec-root ${path}/exec --pidfile ${path}/dockerd.pid --host unix://${this.socket} ` +
        "--iptables=false --ip6tables=false --bridge=none",
    );
    await until(() => this.docker.ping().then(() => true, () => false), { what: "dockerd" });
    const answer = await this.docker.importImage(Buffer.from(pausingImage()), {
      changes: 'CMD ["/pause"]',
    });
    let text = "";
    for await (const part of answer) text += part;
    const [imageId] = /sha256:[0-9a-f]{64}/.exec(text)!;
    await this.docker.getImage(imageId!).tag({ repo: "pausing", tag: "1" });
  }

  /** Starts the example master. */
  async #startMaster(): Promise<void> {
    const { path } = this.folder;
    await Deno.writeTextFile(`${path}/document.json`, document);
    this.#authority = await createAuthority("test authority");
    const worker = await this.#authority.issue({ commonName: "host-1" });
    await writeAgentDirectory(path, this.#authority, worker);
    const master = await this.#authority.issue({
      ...{ commonName: "decnet-master", dnsNames: ["master.test"] },
    });
    await Deno.writeTextFile(`${path}/master.crt`, master.certificatePem);
    await Deno.writeTextFile(`${path}/master.key`, master.keyPem);
    const program = new URL("../../examples/master/master.ts", import.meta.url).pathname;
    const deno = `nsenter --net=/run/netns/${this.#router} ${Deno.execPath()} run -q -A ` +
      `--no-check ${program}`;
    const files = `--database=${path}/master.db --ca=${path}/ca.crt --cert=${path}/master.crt ` +
      `--key=${path}/master.key`;
    await run(`${deno} enrol ${hostUuid} ${path}/worker.crt ${files}`);
    this.#start(`${deno} ${files}`);
    const isOpen = `nsenter --net=/run/netns/${this.#router} bash -c 3<>/dev/tcp/127.0.0.1/8770`;
    await until(() => run(isOpen).then(() => true, () => false), { what: "the master" });
  }

  #start(command: string): void {
    const [program, ...args] = command.split(" ") as [string, ...string[]];
    const streams = { stdin: "null", stdout: "null", stderr: "null" } as const;
    this.#processes.push(new Deno.Command(program, { args, ...streams }).spawn());
  }
}

possible.test("D26 apply never cuts a host with a real engine off", async (t) => {
  await using host = await RoutedHost.start();
  const file = `${host.folder.path}/document.json`;
  const assertInReach = async (master: string) => {
    const { code, stdout } = await host.agent(master, "--once", "--json");
    assert.equal(JSON.parse(stdout).master?.result, "delivered", stdout);
    assert.ok(code <= 1, stdout);
  };

  await t.step("of the routed master in the LAN", async () => {
    const [master, text] = ["10.241.0.200", "holds the address of the master, 10.241.0.200"];
    await assertInReach(master);
    for (const flags of [["--dry-run"], []]) {
      const { code, stdout, stderr } = await host.agent(master, "apply", file, ...flags);
      assert.equal(code, 2, stdout + stderr);
      assert.ok((stdout + stderr).includes(`subnet 10.241.0.0/24 of ${network} ${text}`));
    }
    assert.deepEqual(await host.networks(), []);
    await assertInReach(master);
  });

  await t.step("of the caller in the LAN", async () => {
    await using loop = host.startLoop("198.51.100.1");
    await loop.until(() => loop.stderr.includes("msg=listening"));
    const text = `subnet 10.241.0.0/24 of ${network} holds the address that this call came from, ` +
      "10.241.0.200";
    assert.equal(await host.push("10.241.0.200"), JSON.stringify({ detail: text }));
    assert.deepEqual(await host.networks(), []);
    assert.match(await host.push("198.51.100.1"), /"status":"applied"/);
    assert.deepEqual(await host.networks(), [network]);
    await loop.stop();
    const { code, stderr } = await host.agent("198.51.100.1", "teardown", id);
    assert.ok(code <= 1, stderr);
  });

  await t.step("of a master behind a gateway that is on no subnet of the host", async () => {
    await host.onHost("address del 198.51.100.2/24 dev h0");
    await host.onHost("address add 198.51.100.2/32 dev h0");
    await host.onHost("route add default via 10.241.0.1 dev h0 onlink");
    const master = "203.0.113.9";
    await assertInReach(master);
    const { stderr } = await host.agent(master, "apply", file);
    // The route may go on with the gateway; if not, the networks must be gone.
    await assertInReach(master);
    if ((await host.networks()).length === 0) assert.match(stderr, /they were removed again/);
    assert.ok((await host.agent(master, "teardown", id)).code <= 1);
    await host.onHost("route del default");
    await host.onHost("address del 198.51.100.2/32 dev h0");
    await host.onHost("address add 198.51.100.2/24 dev h0");
    await host.onHost("route add default via 198.51.100.1");
  });

  await t.step("of a master behind a tunnel that ends in the LAN", async () => {
    const tunnel = "type vxlan id 7 dstport 4789";
    await host.onHost(`link add t0 ${tunnel} remote 10.241.0.200`);
    await host.onHost("address add 192.0.2.2/24 dev t0");
    await host.onHost("link set t0 up");
    await host.onRouter(`link add t0 ${tunnel} remote 198.51.100.2 local 10.241.0.200`);
    await host.onRouter("address add 192.0.2.1/24 dev t0");
    await host.onRouter("link set t0 up");
    const master = "192.0.2.1";
    await assertInReach(master);
    const { code, stderr } = await host.agent(master, "apply", file);
    assert.equal(code, 2, stderr);
    assert.match(
      stderr,
      /^decnet-agent: the master at 192\.0\.2\.1:8770 accepted a connection before/m,
    );
    assert.match(stderr, /; they were removed again\. /);
    assert.deepEqual(await host.networks(), []);
    await assertInReach(master);
  });
});
