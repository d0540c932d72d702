import type { Answer } from "./calls.ts";

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
export type Part = (stage: Stage) => Step[];

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
export function list(stage: Stage, what: "networks" | "containers"): Step {
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
