import { Refusal } from "./refusal.ts";

interface Ipam {
  readonly IPAMConfig?: { readonly IPv4Address?: string } | null;
}

/** What `POST /networks/create` takes, as far as it is looked at. */
export interface NetworkCreation {
  readonly Name?: string;
  readonly CheckDuplicate?: boolean;
  readonly Driver?: string;
  readonly Internal?: boolean;
  readonly IPAM?: { readonly Config?: readonly { readonly Subnet?: string }[] | null };
  readonly Options?: Record<string, string>;
  readonly Labels?: Record<string, string>;
}

/** What connects a container to a network, or cuts it off. */
export interface NetworkMembership {
  readonly Container?: string;
  readonly EndpointConfig?: Ipam | null;
  readonly Force?: boolean;
}

/** What `POST /containers/create` takes, as far as it is looked at. */
export interface ContainerCreation {
  readonly Image?: string;
  readonly Hostname?: string;
  readonly Cmd?: readonly string[];
  readonly Labels?: Record<string, string>;
  readonly HostConfig?: { readonly NetworkMode?: string } | null;
  readonly NetworkingConfig?: {
    readonly EndpointsConfig?: Readonly<Record<string, Ipam | null>> | null;
  } | null;
}

/** The types of the fields, by the engine's names for them. */
type Fields = Readonly<Record<string, "string" | "bool" | "[]string" | "map[string]string">>;

const networkFields: Fields = {
  Name: "string",
  CheckDuplicate: "bool",
  Driver: "string",
  Internal: "bool",
  Labels: "map[string]string",
};
const containerFields: Fields = {
  Image: "string",
  Hostname: "string",
  Cmd: "[]string",
  Env: "[]string",
  Labels: "map[string]string",
};

/** A request's body, and what the call says of it. */
export interface SentBody {
  readonly text: string;
  readonly type: string;
}

/** Reads the body of `POST /networks/create`. Throws `Refusal`. */
export function readNetwork(body: SentBody): NetworkCreation {
  const value = parse(body, "types.NetworkCreateRequest", networkFields);
  return value ?? {};
}

/** Reads the body of `POST /networks/{id}/connect` and `disconnect`. Throws `Refusal`. */
export function readMembership(body: SentBody): NetworkMembership {
  return parse(body, "types.NetworkConnect", { Container: "string", Force: "bool" }) ?? {};
}

/** Reads the body of `POST /containers/create`. Throws `Refusal`. */
export function readContainer(body: SentBody): ContainerCreation {
  let value: ContainerCreation | null;
  try {
    value = parse(body, "runconfig.ContainerConfigWrapper", containerFields);
  } catch (error) {
    if (!(error instanceof Refusal) || error.message.startsWith("Content-Type")) throw error;
    // The engine calls it its own fault when it cannot read this body, in slightly other words.
    const isEmpty = error.message.startsWith("got EOF");
    throw new Refusal(500, isEmpty ? "EOF" : error.message);
  }
  if (value === null || !Object.hasOwn(value, "Image")) {
    throw new Refusal(400, "Config cannot be empty in order to create a container");
  }
  return value;
}

function parse<T>({ text, type }: SentBody, target: string, fields: Fields): T | null {
  if (text !== "" && type.split(";")[0] !== "application/json") {
    throw new Refusal(400, `Content-Type specified (${type}) must be 'application/json'`);
  }
  if (text.trim() === "") throw new Refusal(400, "got EOF while reading request body");
  let value: Record<string, unknown> | null;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Refusal(400, syntaxProblem(text));
  }
  if (kindOf(value) === "null") return null;
  if (kindOf(value) !== "object") {
    const problem = `cannot unmarshal ${kindOf(value)} into Go value of type ${target}`;
    throw new Refusal(400, `json: ${problem}`);
  }
  const struct = target.replace(/^.*\./, "");
  for (const [name, wanted] of Object.entries(fields)) {
    const found = kindOf(value?.[name]);
    if (!["undefined", "null", jsonKinds[wanted]].includes(found)) {
      const problem = `cannot unmarshal ${found} into Go struct field ${struct}.${name}`;
      throw new Refusal(400, `json: ${problem} of type ${wanted}`);
    }
  }
  return value as T;
}

const jsonKinds = {
  "string": "string",
  "bool": "bool",
  "[]string": "array",
  "map[string]string": "object",
};

function kindOf(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  return typeof value === "boolean" ? "bool" : typeof value;
}

/** A text cut short, or one that does not even start as JSON: the two that a client may send. */
function syntaxProblem(text: string): string {
  const first = text.trim()[0]!;
  return /[[{"\dtfn-]/.test(first)
    ? "unexpected EOF"
    : `invalid character '${first}' looking for beginning of value`;
}
