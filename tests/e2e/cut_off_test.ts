import assert from "node:assert/strict";
import { createAuthority, writeAgentDirectory } from "../support/certificates.ts";
import { until } from "../support/environment.ts";
import { type Ended, execute } from "../support/executable.ts";
import { IsolatedHost, isolation, run, startProgram } from "../support/isolated_host.ts";

const id = "5e1f0a3c-6d2b-4c8e-9a71-3b0d5c7e2f14";
const hostUuid = "11111111-aaaa-4bbb-8ccc-222222222222";
const image = "pausing:1";
const document = JSON.stringify({
  topology: { id, name: "example" },
  lans: [{ name: "DMZ", subnet: "10.241.0.0/24", is_dmz: true }],
  deckies: [{
    name: "web",
    services: ["http"],
    decky_config: { ips_by_lan: { DMZ: "10.241.0.10" } },
  }],
});

/**
 * A host with an engine of its own, and the router that its master runs on, each in a network
 * namespace. The host is 198.51.100.2; the router is 198.51.100.1 and has addresses beyond.
 */
class RoutedHost implements AsyncDisposable {
  readonly #router = `decnet-r-${crypto.randomUUID().slice(0, 6)}`;
  readonly #host: IsolatedHost;
  #master: Deno.ChildProcess | null = null;

  private constructor(host: IsolatedHost) {
    this.#host = host;
  }

  static async start(): Promise<RoutedHost> {
    const host = new RoutedHost(await IsolatedHost.start([image]));
    await host.#makeRouter();
    await host.#startMaster();
    return host;
  }

  /** Where the documents and certificates are. */
  get path(): string {
    return this.#host.folder.path;
  }

  /** Runs `ip` on the host. */
  onHost = (command: string) => this.#host.ip(command);
  /** Runs `ip` on the router. */
  onRouter = (command: string) => run(`ip -n ${this.#router} ${command}`);

  /** Runs the agent on the host, with a master at an address. */
  agent(master: string, ...args: string[]): Promise<Ended> {
    return execute([...args, ...this.#flags(master)], { wrapper: this.#host.wrapper });
  }

  /** The names of the LANs' networks in the engine. */
  async networks(): Promise<string[]> {
    const all: { Name: string }[] = await this.#host.docker.listNetworks();
    return all.map(({ Name }) => Name).filter((name) => name.startsWith("decnet_"));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#master?.kill("SIGTERM");
    await this.#master?.status;
    await run(`ip netns del ${this.#router}`);
    await this.#host[Symbol.asyncDispose]();
  }

  #flags(master: string): string[] {
    const { path } = this;
    return [
      `--docker-host=unix://${this.#host.socket}`,
      `--state-dir=${path}/state`,
      `--agent-dir=${path}`,
      ...[`--master-host=${master}`, "--master-name=master.test", `--host-uuid=${hostUuid}`],
      ...[`--base-image=${image}`, `--service-image=${image}`],
    ];
  }

  async #makeRouter(): Promise<void> {
    await run(`ip netns add ${this.#router}`);
    await this.onHost(`link add h0 type veth peer name r0 netns ${this.#router}`);
    await this.onRouter("link set lo up");
    await this.onRouter("address add 198.51.100.1/24 dev r0");
    await this.onRouter("link set r0 up");
    for (const it of ["10.241.0.200", "10.241.0.1", "203.0.113.9"]) {
      await this.onRouter(`address add ${it}/32 dev lo`);
    }
    await this.onHost("link set h0 up");
    await this.onHost("address add 198.51.100.2/24 dev h0");
    await this.onHost("route add default via 198.51.100.1");
  }

  /** Starts the example master. */
  async #startMaster(): Promise<void> {
    const { path } = this;
    await Deno.writeTextFile(`${path}/document.json`, document);
    const authority = await createAuthority("test authority");
    const worker = await authority.issue({ commonName: "host-1" });
    await writeAgentDirectory(path, authority, worker);
    const master = await authority.issue({
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
    this.#master = startProgram(`${deno} ${files}`);
    const isOpen = `nsenter --net=/run/netns/${this.#router} bash -c 3<>/dev/tcp/127.0.0.1/8770`;
    await until(() => run(isOpen).then(() => true, () => false), { what: "the master" });
  }
}

isolation.test("D26 apply never cuts a host with a real engine off", async (t) => {
  await using host = await RoutedHost.start();
  const file = `${host.path}/document.json`;
  const assertInReach = async (master: string) => {
    const { code, stdout } = await host.agent(master, "--once", "--json");
    assert.equal(JSON.parse(stdout).master?.result, "delivered", stdout);
    assert.ok(code <= 1, stdout);
  };

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
