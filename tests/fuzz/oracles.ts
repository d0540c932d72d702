import assert from "node:assert/strict";
import { isIPv4 } from "node:net";
import {
  engineRequest,
  type Plan,
  type PlannedContainer,
  type PlannedNetwork,
} from "../../topology/plan.ts";

/** Longer than any message that is meant to be read, in characters. */
const maximumLength = 1_000_000;
/** What steers a terminal or breaks a line. */
const unprintable = /[\p{Cc}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/u;

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

/** It goes into a path: nothing in it may lead elsewhere, nor be taken for an option or a query. */
export function checkImage(image: string): void {
  assert.ok(image.length > 0 && image.length <= 255, "the length of an image's name");
  assert.match(image, /^[A-Za-z0-9][A-Za-z0-9._:@/-]*$/);
  assert.doesNotMatch(image, /(^|\/)\.|\/\/|\/$|\/-|@.*@/);
}

const call = new RegExp(
  "^(?:GET /(?:networks|containers/json\\?all=1|images/[A-Za-z0-9._:@/-]+/json|" +
    "images/json\\?all=1&filters=[A-Za-z0-9.%]+)|" +
    "POST /(?:networks/(?:create|decnet_t_[A-Za-z0-9_.-]+/connect)|" +
    "containers/(?:create\\?name=decnet_t_[A-Za-z0-9_.-]+|[0-9a-f]{64}/(?:start|restart\\?t=0|kill)))|" +
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
  const { Labels: labels, NetworkingConfig: wanted, ...plain } = engineRequest(planned);
  assert.deepEqual(rest, plain);
  const { "decnet.topology.image": image, ...others } = Labels as Record<string, string>;
  assert.match(String(image), /^sha256:[0-9a-f]{64}$/);
  assert.deepEqual(others, labels);
  for (const [network, endpoint] of Object.entries(sent?.EndpointsConfig ?? {})) {
    assert.deepEqual(endpoint, wanted?.EndpointsConfig[network]);
  }
}

const name = "[A-Za-z0-9][A-Za-z0-9_.-]{0,199}";
const owned = "decnet_t_[A-Za-z0-9_.-]{1,191}";
const labels = [
  "Labels[.]decnet[.]topology[.]spec=[0-9a-f]{64}",
  `Labels[.]decnet[.]topology[.]id=${name}`,
];
const containerFields = [
  ...labels,
  `Labels[.]decnet[.]topology[.]decky=${name}`,
  "Image=[^=]+",
  "HostConfig[.]RestartPolicy[.]Name=unless-stopped",
  "HostConfig[.]LogConfig[.]Type=json-file",
  "HostConfig[.]LogConfig[.]Config[.](?:max-size=10m|max-file=5)",
];
/** What a request may hold, each value with its path. */
const allowedFields = {
  network: fieldPattern([
    ...labels,
    `Name=${owned}`,
    "CheckDuplicate=true|Driver=bridge|EnableIPv6=false|Internal=(?:true|false)",
    "IPAM[.]Driver=default|IPAM[.]Config[.]0[.]Subnet=[0-9./]+",
  ]),
  base: fieldPattern([
    ...containerFields,
    "Labels[.]decnet[.]topology[.]role=base",
    `Hostname=${name}|Entrypoint[.]0=sleep|Cmd[.]0=infinity`,
    `NetworkingConfig[.]EndpointsConfig[.]${owned}[.]IPAMConfig[.]IPv4Address=[0-9.]+`,
    `HostConfig[.]NetworkMode=${owned}`,
    "HostConfig[.](?:CapDrop[.]0=ALL|CapAdd[.]0=NET_ADMIN|PidsLimit=64)",
    "HostConfig[.]SecurityOpt[.]0=no-new-privileges",
    "HostConfig[.]Sysctls[.]net.ipv4.(?:ip_forward=1|ip_unprivileged_port_start=0)",
    "HostConfig[.]PortBindings[.]\\d+/(?:tcp|udp)[.]0[.](?:HostIp=0.0.0.0|HostPort=\\d+)",
  ]),
  service: fieldPattern([
    ...containerFields,
    "Labels[.]decnet[.]topology[.]service=true",
    `Labels[.]decnet[.]topology[.]service_name=${name}`,
    `Env[.](?:0=HOSTNAME|1=NODE_NAME)=${name}`,
    "Env[.](?:[2-9]|\\d{2})=[A-Z_]+=[^\0]*",
    "HostConfig[.](?:CapAdd[.]0=NET_BIND_SERVICE|PidsLimit=1024)",
    `HostConfig[.]NetworkMode=container:${owned}`,
  ]),
};

function fieldPattern(fields: readonly string[]): RegExp {
  return new RegExp(`^(?:${fields.join("|")})$`);
}

/** Yields each value in `value`, as `path.to.it=value`. */
function* fieldsOf(value: unknown, path = ""): Generator<string> {
  if (typeof value !== "object" || value === null) return yield `${path.slice(1)}=${value}`;
  for (const [key, item] of Object.entries(value)) yield* fieldsOf(item, `${path}.${key}`);
}

/** Checks that a plan asks the engine for nothing but what the contract with the master allows. */
export function checkPlan({ topologyId: id, networks, containers }: Plan): void {
  assert.match(id, /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/);
  const prefix = `decnet_t_${id.slice(0, 8)}_`;
  for (const objects of [networks, containers]) {
    assert.equal(
      new Set(objects.map(({ name }) => name)).size,
      objects.length,
      "a name is used twice",
    );
    for (const { name, request } of objects) {
      assert.match(name, /^[a-zA-Z0-9][a-zA-Z0-9_.-]{1,199}$/);
      assert.ok(name.startsWith(prefix) && name.length > prefix.length, `name ${name}`);
      assert.equal(request.Labels["decnet.topology.id"], id);
    }
  }
  for (const { name, subnet, internal, request } of networks) {
    assert.equal(name.slice(18), name.slice(18).toLowerCase());
    for (const field of fieldsOf(request)) assert.match(field, allowedFields.network);
    const { Name, Internal, IPAM } = request;
    assert.deepEqual([Name, Internal, IPAM.Config[0]!.Subnet], [name, internal, subnet]);
  }
  const bases = new Set(containers.filter(({ base }) => base === null).map(({ name }) => name));
  for (const container of containers) {
    const { name, decky, base, service, addressByNetwork } = container;
    const request = engineRequest(container);
    assert.equal(base === null, service === null);
    checkImage(request.Image);
    const allowed = base === null ? allowedFields.base : allowedFields.service;
    for (const field of fieldsOf(request)) assert.match(field, allowed);
    const endpoints = Object.entries(request.NetworkingConfig?.EndpointsConfig ?? {})
      .map(([network, { IPAMConfig }]) => [network, IPAMConfig.IPv4Address]);
    assert.deepEqual(endpoints, [...addressByNetwork]);
    if (base === null) assert.ok(name.endsWith(`_${decky}`), name);
    else {
      assert.ok(bases.has(base), "a service without a base");
      assert.equal(name, `${base}-${service}`);
      assert.equal(request.HostConfig.NetworkMode, `container:${base}`);
    }
  }
  checkAddresses(networks, containers);
}

/** Checks that subnets are apart, and each address is in its subnet, usable, and given once. */
function checkAddresses(
  networks: readonly PlannedNetwork[],
  containers: readonly PlannedContainer[],
): void {
  const ranges = new Map(networks.map(({ name, subnet }) => [name, rangeOf(subnet)]));
  const sorted = [...ranges.values()].sort((a, b) => a.first - b.first);
  sorted.slice(1).forEach(({ first }, index) => {
    assert.ok(first > sorted[index]!.last, "two subnets overlap");
  });
  const taken = new Set<string>();
  for (const { addressByNetwork, base } of containers) {
    assert.equal(addressByNetwork.size > 0, base === null);
    for (const [network, text] of addressByNetwork) {
      const { first, last } = ranges.get(network)!;
      const address = addressOf(text);
      // The first one is the gateway's.
      assert.ok(address > first + 1 && address < last, `address ${text} on ${network}`);
      assert.ok(!taken.has(`${network} ${address}`), `address ${text} is given twice`);
      taken.add(`${network} ${address}`);
    }
  }
}

/** Returns the first and the last address of a subnet; the program's own reader is not used. */
function rangeOf(subnet: string): { first: number; last: number } {
  const [address = "", length = "", ...more] = subnet.split("/");
  assert.ok(/^([1-9]|[12][0-9]|30)$/.test(length) && more.length === 0, `subnet ${subnet}`);
  const [first, size] = [addressOf(address), 2 ** (32 - Number(length))];
  assert.equal(first % size, 0, `subnet ${subnet}`);
  return { first, last: first + size - 1 };
}

function addressOf(text: string): number {
  assert.ok(isIPv4(text), `address ${text}`);
  return text.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
}
