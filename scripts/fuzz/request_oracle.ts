import assert from "node:assert/strict";
import type { PlannedContainer, PlannedNetwork } from "../../topology/mod.ts";

type Fields = Readonly<Record<string, unknown>>;

const hex = /^[0-9a-f]{64}$/;
const hostName = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/;
const endless = { Name: "unless-stopped" };
const log = { Type: "json-file", Config: { "max-size": "10m", "max-file": "5" } };

/** Sees that an engine which is asked for this network makes a plain bridge. */
export function checkNetworkRequest(
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

/** Sees that an engine which is asked for this container gives it nothing of the host. */
export function checkContainerRequest(planned: PlannedContainer, id: string): void {
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

/** Sees that a call to the engine is one of those that an apply or a teardown makes. */
export function checkCall({ method, path }: { method: string; path: string }): void {
  assert.match(`${method} ${path}`, call);
  assert.ok(!path.split("/").includes(".."), path);
}

/** Sees that what an engine was really sent for a container holds nothing but what was planned. */
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
