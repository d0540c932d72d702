import assert from "node:assert/strict";
import type { Plan, PlannedContainer, PlannedNetwork } from "../../topology/plan.ts";

/** Longer than any message that is meant to be read, in characters. */
const maximumLength = 1_000_000;
/** What steers a terminal or breaks a line. */
const unprintable = /[\p{Cc}\u2028-\u202e\u2066-\u2069]/u;

/** Checks that a text is one line that can be shown to anybody, and not empty. */
export function checkMessage(text: unknown, maximum = maximumLength): void {
  assert.equal(typeof text, "string", "no message");
  // Half a character becomes a whole one where it is written.
  const message = (text as string).toWellFormed();
  assert.notEqual(message.trim(), "", "an empty message");
  assert.ok(message.length <= maximum, `a message of ${message.length} characters`);
  const odd = unprintable.exec(message);
  assert.ok(!odd, `not printable at ${odd?.index}: ${JSON.stringify(message.slice(0, 500))}`);
}

/** Checks that what was thrown is meant to be: no fault of the program such as a `ReferenceError`. */
export function checkError(error: unknown, names: readonly string[]): asserts error is Error {
  assert.ok(error instanceof Error, `not an Error was thrown: ${String(error)}`);
  if (!names.includes(error.name)) throw error;
  assert.notEqual(error.message.trim(), "", "an Error without a message");
}

/** Addresses as whole numbers; written without a look at how the program reads them. */
interface Range {
  readonly first: bigint;
  readonly last: bigint;
}

/** An IPv4 address. Throws `AssertionError` for another text. */
function addressOf(text: string): bigint {
  assert.match(text, /^[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+$/, `address ${text}`);
  return text.split(".").reduce((sum, part) => {
    assert.ok(part === "0" || !part.startsWith("0"), `address ${text}`);
    assert.ok(part.length <= 3 && Number(part) < 256, `address ${text}`);
    return sum * 256n + BigInt(part);
  }, 0n);
}

/** An IPv4 subnet, nothing set behind its prefix. Throws `AssertionError` for another text. */
function rangeOf(text: string): Range {
  const parts = text.split("/");
  assert.equal(parts.length, 2, `subnet ${text}`);
  assert.match(parts[1]!, /^([1-9]|[12][0-9]|30)$/, `subnet ${text}`);
  const size = 1n << BigInt(32 - Number(parts[1]));
  const first = addressOf(parts[0]!);
  assert.equal(first % size, 0n, `subnet ${text}`);
  return { first, last: first + size - 1n };
}

/** Checks that no two of them have an address in common. */
function checkApart(ranges: readonly Range[]): void {
  const sorted = [...ranges].sort((a, b) => a.first < b.first ? -1 : 1);
  sorted.slice(1).forEach(({ first }, index) => {
    assert.ok(first > sorted[index]!.last, "two subnets overlap");
  });
}

type Fields = Readonly<Record<string, unknown>>;

const hex = /^[0-9a-f]{64}$/;
const hostName = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/;
const endless = { Name: "unless-stopped" };
const log = { Type: "json-file", Config: { "max-size": "10m", "max-file": "5" } };

/** Checks that an engine which is asked for this network makes a plain bridge. */
function checkNetworkRequest(
  { name, subnet, internal, request }: PlannedNetwork,
  id: string,
) {
  const { Labels, ...rest } = request;
  assert.deepEqual(rest, {
    Name: name,
    CheckDuplicate: true,
    Driver: "bridge",
    Internal: internal,
    IPAM: { Driver: "default", Config: [{ Subnet: subnet }] },
  });
  checkLabels(Labels, { "decnet.topology.id": id });
}

/** Checks that an engine which is asked for this container gives it nothing of the host. */
function checkContainerRequest(planned: PlannedContainer, id: string): void {
  const { request, decky, service, base, name, addressByNetwork } = planned;
  const { Image, Labels, HostConfig, ...rest } = request;
  checkImage(Image);
  assert.match(decky, hostName);
  const labels = { "decnet.topology.id": id, "decnet.topology.decky": decky };
  if (base === null) {
    const { Sysctls, ...host } = HostConfig;
    const endpoints = [...addressByNetwork].map(([network, address]) =>
      [network, { IPAMConfig: { IPv4Address: address } }] as const
    );
    assert.deepEqual(rest, {
      Hostname: decky,
      Entrypoint: ["sleep"],
      Cmd: ["infinity"],
      NetworkingConfig: { EndpointsConfig: Object.fromEntries(endpoints) },
    });
    const NetworkMode = endpoints[0]![0];
    const CapAdd = ["NET_ADMIN"];
    assert.deepEqual(host, { NetworkMode, RestartPolicy: endless, LogConfig: log, CapAdd });
    if (Sysctls) assert.deepEqual(Sysctls, { "net.ipv4.ip_forward": "1" });
    checkLabels(Labels, { ...labels, "decnet.topology.role": "base" });
    assert.ok(name.endsWith(`_${decky}`), name);
  } else {
    assert.match(service!, hostName);
    assert.deepEqual(rest, { Env: [`HOSTNAME=${decky}`] });
    const NetworkMode = `container:${base}`;
    assert.deepEqual(HostConfig, { NetworkMode, RestartPolicy: endless, LogConfig: log });
    const of = { "decnet.topology.service": "true", "decnet.topology.service_name": service };
    checkLabels(Labels, { ...labels, ...of });
    assert.equal(name, `${base}-${service}`);
  }
}

function checkLabels(labels: Fields, expected: Fields): void {
  const { "decnet.topology.spec": spec, ...others } = labels;
  assert.match(String(spec), hex);
  assert.deepEqual(others, expected);
}

/** It goes into a path: nothing in it may lead elsewhere, nor be taken for an option or a query. */
export function checkImage(image: string): void {
  assert.ok(image.length > 0 && image.length <= 255, "the length of an image's name");
  assert.match(image, /^[A-Za-z0-9][A-Za-z0-9._:@/-]*$/);
  assert.doesNotMatch(image, /(^|\/)\.|\/\/|\/$|\/-|@.*@/);
}

const call = new RegExp(
  "^(?:GET /(?:networks|containers/json\\?all=1|images/[A-Za-z0-9._:@/-]+/json)|" +
    "POST /(?:networks/(?:create|decnet_t_[A-Za-z0-9_.-]+/connect)|" +
    "containers/(?:create\\?name=decnet_t_[A-Za-z0-9_.-]+|[0-9a-f]{64}/(?:start|restart\\?t=0)))|" +
    "DELETE /(?:networks/[0-9a-f]{64}|containers/[0-9a-f]{64}\\?force=1&v=1))$",
);

/** Checks that a call to the engine is one of those that an apply or a teardown makes. */
export function checkCall({ method, path }: { method: string; path: string }): void {
  assert.match(`${method} ${path}`, call);
  assert.ok(!path.split("/").includes(".."), path);
}

/** Checks that what an engine was really sent for a container holds nothing but what was planned. */
export function checkSentContainer(body: unknown, planned: PlannedContainer): void {
  const { Labels, NetworkingConfig: sent, ...rest } = body as PlannedContainer["request"];
  const { Labels: labels, NetworkingConfig: wanted, ...plain } = planned.request;
  assert.deepEqual(rest, plain);
  const { "decnet.topology.image": image, ...others } = Labels as Record<string, string>;
  assert.match(String(image), /^sha256:[0-9a-f]{64}$/);
  assert.deepEqual(others, labels);
  for (const [network, endpoint] of Object.entries(sent?.EndpointsConfig ?? {})) {
    assert.deepEqual(endpoint, wanted?.EndpointsConfig[network]);
  }
}

/** What Docker takes as a name. */
const dockerName = /^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/;

/** Checks that a plan holds nothing but what the contract with the master allows. */
export function checkPlan({ topologyId, networks, containers }: Plan): void {
  assert.match(topologyId, /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/);
  const prefix = `decnet_t_${topologyId.slice(0, 8)}_`;
  const all = [...networks, ...containers];
  for (const { name } of all) checkName(name, prefix);
  checkUnique(networks.map(({ name }) => name));
  checkUnique(containers.map(({ name }) => name));
  for (const network of networks) checkNetwork(network, topologyId);
  checkApart(networks.map(({ subnet }) => rangeOf(subnet)));
  const subnets = new Map(networks.map(({ name, subnet }) => [name, subnet]));
  checkAddresses(containers, subnets);
  const bases = new Set(containers.filter(({ base }) => base === null).map(({ name }) => name));
  for (const container of containers) {
    assert.ok(container.base === null || bases.has(container.base), "a service without a base");
    assert.equal(container.base === null, container.service === null);
    checkContainerRequest(container, topologyId);
  }
}

function checkName(name: string, prefix: string): void {
  assert.match(name, dockerName);
  assert.ok(name.startsWith(prefix) && name.length > prefix.length, `name ${name}`);
  assert.ok(name.length <= 200, `name ${name}`);
}

function checkUnique(names: readonly string[]): void {
  assert.equal(new Set(names).size, names.length, "a name stands twice");
}

function checkNetwork(network: PlannedNetwork, id: string): void {
  assert.equal(network.name.slice(18), network.name.slice(18).toLowerCase());
  checkNetworkRequest(network, id);
}

/** Each address lies in its subnet, is neither of its ends nor the gateway's, and is given once. */
function checkAddresses(
  containers: readonly PlannedContainer[],
  subnets: ReadonlyMap<string, string>,
): void {
  const taken = new Set<string>();
  for (const { addressByNetwork, base } of containers) {
    assert.equal(addressByNetwork.size > 0, base === null);
    for (const [network, text] of addressByNetwork) {
      const { first, last } = rangeOf(subnets.get(network) ?? "");
      const address = addressOf(text);
      assert.ok(address > first + 1n && address < last, `address ${text} on ${network}`);
      assert.ok(!taken.has(`${network} ${address}`), `address ${text} is given twice`);
      taken.add(`${network} ${address}`);
    }
  }
}
