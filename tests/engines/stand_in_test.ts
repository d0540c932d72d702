import assert from "node:assert/strict";
import { type Answer, call, withEngine } from "../support/engine/client.ts";
import type { ContainerItem, NetworkItem } from "../support/engine/state.ts";
import { EventListener } from "../support/engine_client.ts";
import { until } from "../support/environment.ts";
import { docker, dockerSocket } from "./engines.ts";
import { testInSandbox } from "./sandbox.ts";

/** Names and addresses that are free in an engine, and an image that is there. */
interface Names {
  readonly tag: string;
  readonly image: string;
  readonly subnet: (number: number) => string;
  readonly address: (number: number, host: number) => string;
}

type Step = readonly [method: "GET" | "POST" | "DELETE", path: string, body?: object];

function makeNetwork(name: string, subnet: string, more: object = {}): Step {
  const pools = { Driver: "default", Config: [{ Subnet: subnet }] };
  const body = { Name: name, CheckDuplicate: true, Driver: "bridge", Internal: true, IPAM: pools };
  return ["POST", "/networks/create", { ...body, Labels: { script: "1" }, ...more }];
}

function makeContainer(
  { image }: Names,
  name: string,
  { mode, address }: { mode: string; address?: string },
  more: object = {},
): Step {
  const endpoint = { IPAMConfig: { IPv4Address: address } };
  const networking = address && { NetworkingConfig: { EndpointsConfig: { [mode]: endpoint } } };
  const body = { Image: image, Cmd: ["/pause"], HostConfig: { NetworkMode: mode }, ...networking };
  return ["POST", `/containers/create?name=${name}`, { ...body, ...more }];
}

function connect(network: string, container: string, address: string): Step {
  const endpoint = { IPAMConfig: { IPv4Address: address } };
  return ["POST", `/networks/${network}/connect`, {
    Container: container,
    EndpointConfig: endpoint,
  }];
}

function act(container: string, verb: string): Step {
  return ["POST", `/containers/${container}/${verb}`];
}

/** The calls that stand-in and real engine must answer alike. */
function steps(it: Names): Step[] {
  const { tag, subnet, address } = it;
  const [a, b, x, y, z] = ["a", "b", "x", "y", "z"].map((name) => `${tag}-${name}`) as [
    ...[string, string, string, string, string],
  ];
  const filters = (name: string) => encodeURIComponent(JSON.stringify({ name: [name] }));
  const lists: Step[] = [
    ["GET", `/networks?filters=${filters(tag)}`],
    ["GET", `/containers/json?all=1&filters=${filters(tag)}`],
    ["GET", `/containers/json?filters=${filters(`^/?${tag}-[xy]`)}`],
  ];
  return [
    makeNetwork(a, subnet(1)),
    makeNetwork(a, subnet(2)),
    makeNetwork(b, `${address(1, 0)}/25`),
    makeNetwork(b, subnet(2), { Driver: "none-such" }),
    makeNetwork(b, subnet(2)),
    ["DELETE", `/networks/${tag}-gone`],
    makeContainer(it, x, { mode: a, address: address(1, 5) }, { Hostname: "x" }),
    makeContainer(it, x, { mode: a, address: address(1, 6) }),
    makeContainer(it, y, { mode: a }, { Image: "no-such-image" }),
    makeContainer(it, y, { mode: a }, { Image: `sha256:${"0".repeat(64)}` }),
    makeContainer(it, y, { mode: `container:${x}` }, { Hostname: "y" }),
    makeContainer(it, y, { mode: `container:${x}` }),
    makeContainer(it, z, { mode: a, address: address(1, 5) }),
    ["GET", "/images/no-such-image/json"],
    ["GET", "/images/some/where:1/json"],
    act(`${tag}-gone`, "start"),
    act(y, "start"),
    act(x, "kill"),
    act(x, "unpause"),
    connect(b, x, address(2, 5)),
    connect(`${tag}-gone`, `${tag}-gone`, address(2, 5)),
    ...lists,
    act(x, "start"),
    act(x, "start"),
    connect(b, x, address(2, 6)),
    act(y, "start"),
    act(z, "start"),
    ...lists,
    ["DELETE", `/networks/${a}`],
    ["DELETE", `/containers/${x}`],
    act(x, "pause"),
    act(x, "start"),
    ["DELETE", `/containers/${x}`],
    ...lists,
    act(x, "unpause"),
    ["POST", `/networks/${b}/disconnect`, { Container: x, Force: true }],
    ["POST", `/networks/${b}/disconnect`, { Container: x, Force: true }],
    act(x, "stop?t=0"),
    act(x, "stop?t=0"),
    act(y, "restart?t=0"),
    ["DELETE", `/networks/${b}`],
    ["DELETE", `/containers/${x}?force=1&v=1`],
    act(y, "start"),
    ["DELETE", `/containers/${y}?force=true`],
    ["DELETE", `/containers/${z}`],
    ["DELETE", `/networks/${a}`],
    ...lists,
  ];
}

/** Makes the calls; in their answers ids are `<1>`, `<2>` in the order of creation. */
async function play(socket: string, steps: readonly Step[]): Promise<unknown[]> {
  const ids: string[] = [];
  const answers: unknown[] = [];
  for (const [method, path, body] of steps) {
    const answer = await call(socket, method, path, body);
    if (answer.status === 201) ids.push(answer.body!.Id!);
    const text = JSON.stringify(comparable(answer.body)).replace(/[0-9a-f]{64}/g, (id) => {
      return `<${ids.includes(id) ? ids.indexOf(id) + 1 : "other"}>`;
    });
    answers.push([`${method} ${path}`, answer.status, JSON.parse(text)]);
  }
  return answers;
}

/** Lists in the order of names, with what the stand-in has of each item, and without times. */
function comparable(body: Answer["body"]): unknown {
  if (!Array.isArray(body)) return body;
  const nameOf = (item: { Name?: string; Names?: string[] }) => item.Name ?? item.Names![0]!;
  return body.sort((one, other) => nameOf(one) < nameOf(other) ? -1 : 1)
    .map((it) => it.Names ? comparableContainer(it) : comparableNetwork(it));
}

function comparableNetwork(it: NetworkItem) {
  const { Id, Name, Driver, Internal, ConfigOnly, Labels, IPAM } = it;
  const pools = IPAM.Config.map(({ Subnet }) => Subnet);
  return { Id, Name, Driver, Internal, ConfigOnly, Labels, allocator: IPAM.Driver, pools };
}

function comparableContainer(it: ContainerItem) {
  const { Id, Names, Image, ImageID, Labels, State, Ports, HostConfig } = it;
  const endpoints = Object.entries(it.NetworkSettings.Networks).map(
    ([name, { IPAMConfig, NetworkID, EndpointID, IPAddress }]) => [
      ...[name, IPAMConfig, NetworkID, EndpointID, IPAddress],
    ],
  );
  const status = it.Status.replace(/\d+ seconds?/, "Less than a second");
  return { Id, Names, Image, ImageID, Labels, State, status, Ports, HostConfig, endpoints };
}

/** Everything that can happen to two networks and a container. */
function eventfulSteps(it: Names): Step[] {
  const { tag, subnet, address } = it;
  const [a, b, web] = [`${tag}-lan`, `${tag}-other`, `${tag}-web`];
  return [
    makeNetwork(a, subnet(1)),
    makeNetwork(b, subnet(2)),
    makeContainer(it, web, { mode: a, address: address(1, 5) }),
    act(web, "start"),
    connect(b, web, address(2, 5)),
    ["POST", `/networks/${b}/disconnect`, { Container: web }],
    ...["pause", "unpause", `rename?name=${tag}-site`].map((verb) => act(web, verb)),
    ...["restart?t=0", "kill", "start"].map((verb) => act(`${tag}-site`, verb)),
    ["DELETE", `/containers/${tag}-site?force=1`],
    ["DELETE", `/networks/${a}`],
    ["DELETE", `/networks/${b}`],
  ];
}

async function hear(socket: string, tag: string, steps: readonly Step[]) {
  await using listener = await EventListener.open(socket, tag);
  for (const [method, path, body] of steps) {
    const answer = await call(socket, method, path, body);
    assert.ok(answer.status < 300, `${path}: ${JSON.stringify(answer.body)}`);
    // The events of a container that ends come after the answer.
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  await until(() => listener.heard.includes("network destroy TAG-other"));
  return listener.heard;
}

/** Runs the same on the stand-in and on a real engine, and compares. */
function compare(what: string, run: (socket: string, it: Names) => Promise<unknown>): void {
  testInSandbox(docker, `FakeEngine ${what} as a real engine does`, async (sandbox) => {
    const image = `decnet-agent-test-${sandbox.tag}:1`;
    const it: Names = {
      ...{ tag: `truth-${sandbox.tag}`, image },
      subnet: (number) => sandbox.subnet(number),
      address: (number, host) => sandbox.address(number, host),
    };
    await withEngine(async (engine) => {
      const { body } = await call(dockerSocket, "GET", `/images/${image}/json`);
      engine.images.add(image, body!.Id!);
      assert.deepEqual(await run(engine.socketPath, it), await run(dockerSocket, it));
    });
  });
}

compare("answers", (socket, it) => play(socket, steps(it)));
compare("sends events", (socket, it) => hear(socket, it.tag, eventfulSteps(it)));
