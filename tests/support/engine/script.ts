import assert from "node:assert/strict";
import { request } from "node:http";
import { FakeEngine } from "./fake_engine.ts";
import { encode } from "./http.ts";
import { container, network } from "./state.ts";

/** Runs a test against an engine in a directory of its own; it runs nothing at first. */
export async function withEngine(test: (engine: FakeEngine) => Promise<void>): Promise<void> {
  const directory = await Deno.makeTempDir();
  try {
    await using engine = await FakeEngine.start(`${directory}/docker.sock`);
    await test(engine);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

const labels = { "decnet.topology.id": "t1" };
/** Three networks. */
export const networks = [
  network({ name: "bridge", subnet: "172.17.0.0/16" }),
  network({ name: "decnet_t_1_lan", subnet: "10.0.0.0/24", labels, internal: true }),
  network({ name: "other", driver: "macvlan" }),
];
/** Four containers, one of which has exited. */
export const containers = [
  container({
    name: "decnet_t_1_web",
    labels,
    health: "unhealthy",
    addresses: { decnet_t_1_lan: "10.0.0.5" },
  }),
  container({ name: "decnet_t_1_web-http", networkMode: "container:decnet_t_1_web" }),
  container({ name: "gone", state: "exited" }),
  container({ name: "waits", state: "paused" }),
];

/** Runs a test against an engine that has them. */
export function withSnapshot(test: (engine: FakeEngine) => Promise<void>): Promise<void> {
  return withEngine(async (engine) => {
    engine.networks = networks;
    engine.containers = containers;
    await test(engine);
  });
}

/** Sends GETs in one write and reads until the engine closes or the time is up. */
export async function exchange(engine: FakeEngine, targets: string[], waitMs = 5000) {
  using connection = await Deno.connect({ transport: "unix", path: engine.socketPath });
  const requests = targets.map((target, i) => {
    const last = i === targets.length - 1 ? "Connection: close\r\n" : "";
    return `GET ${target} HTTP/1.1\r\nHost: docker\r\n${last}\r\n`;
  });
  await connection.write(new TextEncoder().encode(requests.join("")));
  const bytes: number[] = [];
  let end: "closed" | "reset" | "silent" = "closed";
  const timer = setTimeout(() => {
    end = "silent";
    connection.close();
  }, waitMs);
  try {
    for await (const part of chunksOf(connection)) bytes.push(...part);
  } catch (error) {
    if (error instanceof Deno.errors.ConnectionReset) end = "reset";
    else assert.equal(end, "silent", String(error));
  }
  clearTimeout(timer);
  return { end, text: new TextDecoder("latin1").decode(Uint8Array.from(bytes)) };
}

async function* chunksOf(connection: Deno.Conn): AsyncGenerator<Uint8Array> {
  const buffer = new Uint8Array(65_536);
  for (;;) {
    const length = await connection.read(buffer);
    if (length === null) return;
    yield buffer.slice(0, length);
  }
}

/** What comes in JSON, a list or an object; these fields are the ones that tests ask for. */
interface AnswerBody {
  readonly Id?: string;
  readonly message?: string;
  readonly [field: string]: unknown;
}

/** An answer as a client sees it; `body` is null when there is none. */
export interface Answer {
  readonly status: number;
  readonly body: AnswerBody | null;
}

/**
 * Calls the engine at a socket, with a body in JSON; a text and bytes go as they are. Throws
 * `Error` when no whole answer comes. (fetch would call a second time where the first was cut off.)
 */
export function call(
  socketPath: string,
  method: string,
  path: string,
  body?: unknown,
): Promise<Answer> {
  const bytes = body instanceof Uint8Array
    ? body
    : encode(typeof body === "string" ? body : JSON.stringify(body) ?? "");
  const type = body instanceof Uint8Array ? "application/x-tar" : "application/json";
  const headers = body === undefined
    ? {}
    : { "Content-Type": type, "Content-Length": bytes.length };
  return new Promise((resolve, reject) => {
    const sent = request({ socketPath, method, path, headers, agent: false }, async (response) => {
      try {
        let answer = "";
        for await (const part of response.setEncoding("utf8")) answer += part;
        const status = response.statusCode ?? 0;
        resolve({ status, body: answer === "" ? null : JSON.parse(answer) });
      } catch (error) {
        reject(error);
      }
    });
    sent.on("error", reject).end(bytes);
  });
}

/** The names that a list call answers with. */
export async function names(
  engine: FakeEngine,
  path: string,
  filters?: unknown,
): Promise<string[]> {
  using client = Deno.createHttpClient({ proxy: { transport: "unix", path: engine.socketPath } });
  const query = filters ? `filters=${encodeURIComponent(JSON.stringify(filters))}` : "";
  const url = `http://localhost${path}${path.includes("?") ? "&" : "?"}${query}`;
  const response = await fetch(url, { client });
  const items = await response.json();
  if (!response.ok) return [items.message];
  return items.map((item: { Name?: string; Names?: string[] }) => item.Name ?? item.Names?.[0]);
}

/** What a script runs with; the names and addresses are free in the engine. */
export interface Stage {
  readonly tag: string;
  readonly image: string;
  readonly command: string[];
  readonly subnet: (number: number) => string;
  readonly address: (number: number, host: number) => string;
}

/** One call of a script; ids of what has been created stand as `<name>` in path and body. */
export interface Step {
  readonly method: "GET" | "POST" | "DELETE";
  readonly path: string;
  readonly body?: unknown;
}

/** Plays a part of the script: makes the steps on a stage. */
type Part = (stage: Stage) => Step[];

/** A network that is asked for. */
export function makeNetwork(name: string, subnet: string, more: object = {}): Step {
  const pools = { Driver: "default", Config: [{ Subnet: subnet }] };
  const wish = { CheckDuplicate: true, Driver: "bridge", Internal: true, IPAM: pools };
  return {
    method: "POST",
    path: "/networks/create",
    body: { Name: name, ...wish, Labels: { "decnet.topology.id": "script" }, ...more },
  };
}

/** A container that is asked for, on a network at an address, or in another's. */
export function makeContainer(
  { image, command }: Stage,
  name: string,
  place: { mode: string; address?: string },
  more: object = {},
): Step {
  const endpoint = { IPAMConfig: { IPv4Address: place.address } };
  return {
    method: "POST",
    path: `/containers/create?name=${name}`,
    body: {
      Image: image,
      Cmd: command,
      Env: ["HOSTNAME=x"],
      Labels: { "decnet.topology.id": "script" },
      HostConfig: { NetworkMode: place.mode },
      ...(place.address === undefined
        ? {}
        : { NetworkingConfig: { EndpointsConfig: { [place.mode]: endpoint } } }),
      ...more,
    },
  };
}

/** A call without a body that acts on a container. */
export function act(name: string, verb: string): Step {
  return { method: "POST", path: `/containers/${name}/${verb}` };
}

/** Removes a container or a network. */
export function remove(path: string): Step {
  return { method: "DELETE", path };
}

/** Ties a container to a network. */
export function tie(network: string, container: string, address?: string): Step {
  return {
    method: "POST",
    path: `/networks/${network}/connect`,
    body: {
      Container: container,
      ...(address === undefined
        ? {}
        : { EndpointConfig: { IPAMConfig: { IPv4Address: address } } }),
    },
  };
}

/** Cuts a container off a network. */
export function untie(network: string, container: string, force = false): Step {
  const body = { Container: container, Force: force };
  return { method: "POST", path: `/networks/${network}/disconnect`, body };
}

/** The containers of the stage, or its networks. */
function list(stage: Stage, what: "networks" | "containers"): Step {
  const filters = encodeURIComponent(JSON.stringify({ name: [stage.tag] }));
  const path = what === "networks" ? "/networks?" : "/containers/json?all=1&";
  return { method: "GET", path: `${path}filters=${filters}` };
}

/** The steps with their answers: ids are `<1>`, `<2>` in the order of creation, others `<other>`. */
export async function play(
  steps: readonly Step[],
  call: (step: Step) => Promise<Answer>,
): Promise<{ step: string; status: number; body: unknown }[]> {
  const ids: string[] = [];
  const transcript = [];
  for (const step of steps) {
    const path = step.path.replace(/<(\d+)>/, (_, number) => ids[Number(number) - 1]!);
    const { status, body } = await call({ ...step, path });
    if (status === 201) ids.push(body!.Id!);
    const text = JSON.stringify(comparable(body)).replace(/[0-9a-f]{64}/g, (id) => {
      return `<${ids.includes(id) ? ids.indexOf(id) + 1 : "other"}>`;
    });
    const name = [step.method, step.path, JSON.stringify(step.body) ?? ""].join(" ");
    transcript.push({ step: name, status, body: JSON.parse(text) });
  }
  return transcript;
}

/** Without times; lists in the order of names, also the one that the engine shuffles in a text. */
function comparable(body: Answer["body"]): unknown {
  if (!Array.isArray(body)) return sortEndpoints(body);
  const items = body.map(({ Created: _, Status: status, ...rest }) => ({
    ...rest,
    ...(status === undefined
      ? {}
      : { Status: status.replace(/\d+ seconds?/, "Less than a second") }),
  }));
  const nameOf = (item: { Name?: string; Names?: string[] }) => item.Name ?? item.Names![0]!;
  return items.sort((a, b) => nameOf(a) < nameOf(b) ? -1 : 1);
}

function sortEndpoints(body: Answer["body"]): unknown {
  const [start, names] = body?.message?.split(/(?<=network endpoints: )/) ?? [];
  return names ? { message: start + names.split(", ").sort().join(", ") } : body;
}

/** What is asked of the real engine and of the stand-in, part by part. */
export const parts: Readonly<Record<string, Part>> = {
  "networks": (stage) => {
    const [a, b] = [`${stage.tag}-a`, `${stage.tag}-b`];
    return [
      makeNetwork(a, stage.subnet(1)),
      makeNetwork(a, stage.subnet(2)),
      makeNetwork(b, stage.address(1, 0) + "/25"),
      makeNetwork(b, "nonsense"),
      makeNetwork("bridge", stage.subnet(2)),
      makeNetwork(a, stage.subnet(2), { CheckDuplicate: false }),
      remove(`/networks/${a}`),
      remove("/networks/<2>"),
      makeNetwork(b, stage.address(3, 7) + "/24"),
      { ...makeNetwork(b, ""), body: "{" },
      { ...makeNetwork(b, ""), body: "x" },
      { ...makeNetwork(b, ""), body: "" },
      { ...makeNetwork(b, ""), body: "[]" },
      { ...makeNetwork(b, ""), body: { Name: 7 } },
      { ...makeNetwork(b, ""), body: { Name: "x", Labels: "y" } },
      { ...makeNetwork(b, ""), body: {} },
      list(stage, "networks"),
      remove("/networks/bridge"),
      remove(`/networks/${stage.tag}-none`),
      remove(`/networks/${a}`),
      remove(`/v1.41/networks/${b}`),
      remove(`/v1.44/networks/${b}`),
      list(stage, "networks"),
    ];
  },
  "the creation of containers": (stage) => {
    const { tag, image, address } = stage;
    const [a, x, y] = [`${tag}-a`, `${tag}-x`, `${tag}-y`];
    const make = makeContainer.bind(null, stage);
    return [
      makeNetwork(a, stage.subnet(1)),
      make(x, { mode: a, address: address(1, 5) }, { Hostname: "x" }),
      make(x, { mode: a, address: address(1, 6) }),
      make(`/${x}`, { mode: a }),
      make("bad%20name", { mode: a }),
      make(y, { mode: a }, { Image: "no-such-image" }),
      make(y, { mode: a }, { Image: "no-such-image:7" }),
      make(y, { mode: a }, { Image: `sha256:${"0".repeat(64)}` }),
      make(y, { mode: a }, { Image: "UPPER" }),
      make(y, { mode: a, address: "nonsense" }),
      make(y, { mode: a }, {
        NetworkingConfig: { EndpointsConfig: { [a]: {}, [`${tag}-b`]: {} } },
      }),
      make(y, { mode: a }, { NetworkingConfig: { EndpointsConfig: { [a]: null } } }),
      make(y, { mode: `container:${x}` }, { Hostname: "y" }),
      { ...make(y, { mode: a }), body: "{" },
      { ...make(y, { mode: a }), body: "" },
      { ...make(y, { mode: a }), body: {} },
      { ...make(y, { mode: a }), body: { Image: 7 } },
      make(y, { mode: `container:${x}` }),
      make(`${tag}-base-gone`, { mode: `container:${tag}-gone` }),
      make(`${tag}-network-gone`, { mode: `${tag}-gone`, address: address(1, 9) }),
      make(`${tag}-default`, { mode: "default" }),
      list(stage, "containers"),
      act(`${tag}-base-gone`, "start"),
      act(`${tag}-network-gone`, "start"),
      act(`${tag}-gone`, "start"),
      act(y, "start"),
      remove(`/containers/${tag}-gone`),
      remove(`/containers/${x}`),
      remove(`/containers/${y}?force=1&v=1`),
      make(x, { mode: a, address: address(1, 5) }),
      list(stage, "containers"),
      { method: "GET", path: "/images/no-such-image/json" },
      { method: "GET", path: "/images/some/where:1/json" },
      { method: "GET", path: "/images/UPPER/json" },
      { method: "GET", path: `/images/${image.replace(/:.*/, "")}/json` },
    ];
  },
  "what ties containers to networks": (stage) => {
    const { tag, address } = stage;
    const [a, b, x, y, z] = ["a", "b", "x", "y", "z"].map((it) => `${tag}-${it}`) as [
      string,
      string,
      string,
      string,
      string,
    ];
    const make = makeContainer.bind(null, stage);
    return [
      makeNetwork(a, stage.subnet(1)),
      makeNetwork(b, stage.subnet(2)),
      make(x, { mode: a, address: address(1, 5) }),
      tie(b, x, address(2, 5)),
      tie(b, x, address(2, 6)),
      tie(b, `${tag}-gone`),
      { ...tie(b, ""), body: "{" },
      { ...tie(b, ""), body: "" },
      { ...tie(b, ""), body: {} },
      list(stage, "containers"),
      tie(`${tag}-gone`, x),
      untie(`${tag}-gone`, x),
      untie(`${tag}-gone`, x),
      act(x, "start"),
      act(x, "start"),
      list(stage, "containers"),
      make(y, { mode: `container:${x}` }),
      act(y, "start"),
      make(z, { mode: a, address: address(1, 5) }),
      act(z, "start"),
      act(z, "restart?t=0"),
      untie(a, z),
      untie(a, z),
      tie(a, z, address(3, 5)),
      act(z, "start"),
      untie(a, z),
      tie(a, z, address(1, 1)),
      act(z, "start"),
      untie(a, z),
      tie(a, z),
      act(z, "start"),
      tie(a, z),
      tie(b, z, "nonsense"),
      tie(b, z, address(3, 5)),
      tie(b, z, address(2, 5)),
      tie(`${tag}-gone`, z),
      tie("host", z),
      tie("none", z),
      tie("bridge", z, "172.17.0.77"),
      tie(b, y),
      untie(b, y),
      tie(b, z, address(2, 6)),
      list(stage, "containers"),
      untie(`${tag}-gone`, z),
      untie(b, `${tag}-gone`),
      untie(b, `${tag}-gone`, true),
      untie(b, z),
      untie(b, z),
      remove(`/networks/${b}`),
      act(x, "stop?t=0"),
      remove(`/networks/${b}`),
      act(x, "start"),
      makeNetwork(b, stage.subnet(2)),
      act(x, "start"),
      tie(b, x, address(2, 7)),
      act(x, "start"),
      list(stage, "containers"),
    ];
  },
  "the life of containers": (stage) => {
    const { tag, address } = stage;
    const [a, x, y] = [`${tag}-a`, `${tag}-x`, `${tag}-y`];
    const make = makeContainer.bind(null, stage);
    return [
      makeNetwork(a, stage.subnet(1)),
      make(x, { mode: a, address: address(1, 5) }),
      make(y, { mode: `container:${x}` }),
      ...["stop?t=0", "pause", "unpause", "kill"].map((verb) => act(x, verb)),
      ...["start", "stop", "restart", "pause", "unpause", "kill"].map((verb) => {
        return act(`${tag}-gone`, verb);
      }),
      act(x, "start"),
      act(y, "start"),
      act(x, "pause"),
      act(x, "pause"),
      act(x, "start"),
      list(stage, "containers"),
      remove(`/containers/${x}`),
      remove(`/networks/${a}`),
      act(x, "unpause"),
      act(x, "unpause"),
      act(x, "restart?t=0"),
      act(x, "stop?t=0"),
      act(x, "stop?t=0"),
      list(stage, "containers"),
      act(y, "restart?t=0"),
      act(y, "start"),
      act(x, "start"),
      act(y, "start"),
      remove(`/containers/${x}`),
      remove("/containers/<2>?force=true"),
      act(y, "restart?t=0"),
      make(x, { mode: a, address: address(1, 5) }),
      act(x, "start"),
      act(y, "start"),
      list(stage, "containers"),
      remove(`/containers/${y}?v=1`),
      remove(`/containers/${x}?force=1`),
      remove(`/networks/${a}`),
      list(stage, "containers"),
      list(stage, "networks"),
    ];
  },
};
