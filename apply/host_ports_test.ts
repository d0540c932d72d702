import assert from "node:assert/strict";
import { EngineError, statusError } from "../docker/errors.ts";
import { freePort } from "../tests/support/environment.ts";
import { requirement } from "../tests/support/requirements.ts";
import { made } from "../tests/support/plan.ts";
import { decky, lan, topology } from "../tests/support/topology.ts";
import { type ContainerChange, findChanges } from "../topology/changes.ts";
import type { Inventory } from "../topology/inventory.ts";
import { defaultPlanOptions, type Plan, planTopology } from "../topology/plan.ts";
import type { Port } from "../topology/services.ts";
import { describeFailure, findTakenPorts } from "./host_ports.ts";

/** The plan of a gateway with a service that listens on these ports. */
async function gateway(ports: Port[], publish = "127.0.0.1"): Promise<Plan> {
  const addresses = { dmz: "10.0.0.2" };
  const deckies = [decky("gate", { services: ["own"], addresses, forwardsL3: true })];
  const services = new Map([["own", { ports }]]);
  return await planTopology(
    topology({ lans: [lan("dmz")], deckies }),
    { ...defaultPlanOptions, services, publish },
  );
}

/** The changes to containers that make an engine with these objects match a plan. */
function changesOf(plan: Plan, inventory: Inventory): readonly ContainerChange[] {
  const images = plan.containers.map(({ request: { Image } }) => Image);
  const imageIds = new Map(images.map((it) => [it, `sha256:${it}`]));
  const { obstacles, containers } = findChanges(plan, inventory, imageIds);
  assert.deepEqual(obstacles, []);
  return containers;
}

const empty: Inventory = { networks: [], containers: [] };
const taken = "that port is taken: free it, or set publish to another address or off";
const obstacle = (port: string, problem = taken, host = "127.0.0.1") =>
  `container decnet_t_7c9e6679_gate publishes ${port} on ${host}, but ${problem}`;

/** A TCP and a UDP socket of another program, on one free port. */
function otherProgram(hostname: string) {
  const tcp = Deno.listen({ hostname, port: freePort() });
  const { port } = tcp.addr;
  const udp = Deno.listenDatagram({ hostname, port, transport: "udp" });
  return { tcp, udp, port };
}

Deno.test("findTakenPorts() finds what another program has, by protocol", async () => {
  for (
    const [hostname, publish] of [["127.0.0.1", "127.0.0.1"], ["127.0.0.1", "0.0.0.0"], [
      "0.0.0.0",
      "127.0.0.1",
    ]] as const
  ) {
    const { tcp, udp, port } = otherProgram(hostname);
    const plan = await gateway([`${port}/tcp`, `${port}/udp`, `${freePort()}/tcp`], publish);
    const find = () => findTakenPorts(changesOf(plan, empty), null);
    assert.deepEqual(
      await find(),
      [`${port}/tcp`, `${port}/udp`].map((it) => obstacle(it, taken, publish)),
    );
    tcp.close();
    assert.deepEqual(await find(), [obstacle(`${port}/udp`, taken, publish)]);
    udp.close();
    // Nothing that it opened itself is left.
    assert.deepEqual([await find(), await find()], [[], []]);
  }
});

Deno.test("findTakenPorts() looks at ports only when a base must be created", async () => {
  const { tcp, udp, port } = otherProgram("127.0.0.1");
  const plan = await gateway([`${port}/tcp`]);
  const { networks, containers: [base, service] } = made(plan);
  const find = (inventory: Inventory) => findTakenPorts(changesOf(plan, inventory), null);
  const elsewhere: Inventory[] = [
    { networks, containers: [base!, service!] },
    { networks, containers: [base!] },
    { networks, containers: [{ ...base!, state: "exited", publishedPorts: [] }, service!] },
  ];
  for (const inventory of elsewhere) assert.deepEqual(await find(inventory), []);
  const old = { ...base!, labels: new Map([...base!.labels, ["decnet.topology.spec", "x"]]) };
  // The base that is removed publishes the port itself.
  assert.deepEqual(await find({ networks, containers: [old, service!] }), []);
  const other = { ...old, publishedPorts: [`${port}/udp` as Port] };
  assert.deepEqual(await find({ networks, containers: [other] }), [obstacle(`${port}/tcp`)]);
  // One that is removed because it is not in the topology.
  const gone = { ...base!, id: "gone", name: "decnet_t_7c9e6679_gone" };
  assert.deepEqual(await find({ networks, containers: [gone] }), []);
  tcp.close();
  udp.close();
});

Deno.test("findTakenPorts() counts the port of the agent's own API", async () => {
  const port = freePort();
  const problem = "the agent's API listens there: set listen to another port, or publish to " +
    "another address or off";
  const cases: [listen: string, publish: string, isTaken: boolean][] = [
    ["0.0.0.0", "0.0.0.0", true],
    ["0.0.0.0", "127.0.0.1", true],
    ["::", "127.0.0.1", true],
    ["192.0.2.20", "0.0.0.0", true],
    ["127.0.0.1", "127.0.0.1", true],
    ["192.0.2.20", "127.0.0.1", false],
    ["::1", "0.0.0.0", false],
  ];
  for (const [host, publish, isTaken] of cases) {
    const changes = changesOf(await gateway([`${port}/tcp`, `${port}/udp`], publish), empty);
    const expected = isTaken ? [obstacle(`${port}/tcp`, problem, publish)] : [];
    assert.deepEqual(await findTakenPorts(changes, { host, port }), expected, host);
    assert.deepEqual(await findTakenPorts(changes, { host, port: port + 1 }), []);
  }
});

Deno.test("findTakenPorts() finds that the host does not have the address", async () => {
  const ports: Port[] = [`${freePort()}/tcp`, `${freePort()}/udp`, "1/tcp", "1/udp"];
  const plan = await gateway(ports, "192.0.2.1");
  const problem = "this host does not have that address: set publish to one that it has";
  const obstacles = await findTakenPorts(changesOf(plan, empty), null);
  assert.equal(obstacles.length, 4);
  for (const it of obstacles) assert.ok(it.endsWith(`on 192.0.2.1, but ${problem}`), it);
});

const root = requirement("root", Deno.uid() === 0);

root.test("findTakenPorts() connects to TCP ports below 1024, and skips UDP", async () => {
  // Port 1 of this address is free on any machine.
  const hostname = "127.7.7.7";
  const plan = await gateway(["1/tcp", "1/udp"], hostname);
  assert.deepEqual(await findTakenPorts(changesOf(plan, empty), null), []);
  const tcp = Deno.listen({ hostname, port: 1 });
  const udp = Deno.listenDatagram({ hostname, port: 1, transport: "udp" });
  assert.deepEqual(await findTakenPorts(changesOf(plan, empty), null), [
    obstacle("1/tcp", taken, hostname),
  ]);
  const dns = Deno.listen({ hostname, port: 53 });
  const changes = changesOf(await gateway(["53/tcp"], hostname), empty);
  const problem = `${taken}; systemd-resolved may hold port 53`;
  assert.deepEqual(await findTakenPorts(changes, null), [obstacle("53/tcp", problem, hostname)]);
  dns.close();
  // The connection is closed at once.
  const connection = await tcp.accept();
  assert.equal(await connection.read(new Uint8Array(1)), null);
  connection.close();
  tcp.close();
  udp.close();
});

Deno.test("describeFailure() names the ports that the engine could not publish", async () => {
  const { containers: [base, service] } = await gateway(["22/tcp", "53/tcp", "53/udp", "5355/udp"]);
  const failure = (words: string, status = 500) =>
    new EngineError({ reason: "status", call: "POST /containers/x/start", status, words });
  const advice = "free it, or set publish to another address or off";
  const cases: [words: string, ports: string | null, hint?: string][] = [
    // Docker 20.10, 28 and 29, then Podman.
    [
      "driver failed programming external connectivity on endpoint x (0a): Error starting userland proxy: listen tcp4 0.0.0.0:22: bind: address already in use",
      "22/tcp",
    ],
    [
      "driver failed programming external connectivity on endpoint x (0a): Bind for 0.0.0.0:53 failed: port is already allocated",
      "53/tcp, 53/udp",
      "; systemd-resolved may hold port 53",
    ],
    [
      "failed to bind host port for 0.0.0.0:5355:10.0.0.2:5355/udp: address already in use",
      "5355/udp",
    ],
    [
      "cannot listen on the UDP port: listen udp4 :53: bind: address already in use",
      "53/udp",
      "; systemd-resolved may hold port 53",
    ],
    ["no space left on device", null],
    ["listen tcp4 0.0.0.0:2222: bind: address already in use", null],
  ];
  for (const [words, ports, hint = ""] of cases) {
    const error = failure(words);
    const expected = ports === null
      ? error.message
      : `cannot publish ${ports} if that port is taken: ${advice}${hint}; ${error.message}`;
    assert.equal(describeFailure(base!, error), expected);
    assert.equal(describeFailure(service!, error), error.message);
  }
  assert.equal(describeFailure(base!, new Error("listen tcp4 :22")), "listen tcp4 :22");
  // The ports come last in what Docker 28 says, behind the longest name that a base may have.
  const endpoint = `${"d".repeat(63 + "decnet_t_7c9e6679_".length)} (${"0a".repeat(32)})`;
  const message = "failed to set up container networking: driver failed programming external " +
    `connectivity on endpoint ${endpoint}: failed to bind host port for 192.168.100.100:5355:` +
    "192.168.200.200:5355/udp: address already in use";
  const body = new TextEncoder().encode(JSON.stringify({ message }));
  const error = statusError({ status: 500, body }, "POST /containers/x/start");
  assert.match(describeFailure(base!, error), /^cannot publish 5355\/udp if that port is taken: /);
});
