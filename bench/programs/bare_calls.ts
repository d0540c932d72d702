/**
 * Makes what a plan asks for with the engine's calls alone, as many at once as the agent: SOCKET FILE.
 * FILE holds the plan's networks and containers as JSON. It looks at nothing and checks nothing.
 * Prints how long that took, in milliseconds.
 */

import { EngineConnection, type EngineRequest } from "../../docker/http.ts";
import type { Plan } from "../../topology/plan.ts";

const parallelCalls = 8;
const [socket, file] = Deno.args as [string, string];
const { networks, containers } = JSON.parse(await Deno.readTextFile(file)) as Pick<
  Plan,
  "networks" | "containers"
>;

const { signal } = new AbortController();
const idle = await Promise.all(
  Array.from({ length: parallelCalls }, () => EngineConnection.open(socket, signal)),
);
const waiting: ((connection: EngineConnection) => void)[] = [];

async function call(path: string, body?: unknown): Promise<{ Id: string }> {
  const connection = idle.pop() ??
    await new Promise<EngineConnection>((resolve) => waiting.push(resolve));
  const request: EngineRequest = { method: "POST", path, body };
  await connection.send([request]);
  const answer = await connection.receive();
  const next = waiting.shift();
  if (next) next(connection);
  else idle.push(connection);
  const text = new TextDecoder().decode(answer.body);
  if (answer.status >= 300) throw new Error(`${path}: ${answer.status} ${text}`);
  return text === "" ? { Id: "" } : JSON.parse(text);
}

async function make({ name, request }: Plan["containers"][number]): Promise<void> {
  const { NetworkingConfig, ...body } = request;
  const [first, ...more] = Object.entries(NetworkingConfig?.EndpointsConfig ?? {});
  const EndpointsConfig = Object.fromEntries(first ? [first] : []);
  const { Id } = await call(`/containers/create?name=${name}`, {
    ...body,
    NetworkingConfig: { EndpointsConfig },
  });
  for (const [network, EndpointConfig] of more) {
    await call(`/networks/${network}/connect`, { Container: Id, EndpointConfig });
  }
  await call(`/containers/${Id}/start`);
}

const startedAt = performance.now();
await Promise.all(networks.map(({ request }) => call("/networks/create", request)));
const deckies = Map.groupBy(containers, ({ decky }) => decky);
await Promise.all([...deckies.values()].map(async ([base, ...services]) => {
  await make(base!);
  await Promise.all(services.map(make));
}));
await Deno.stdout.write(new TextEncoder().encode(String(performance.now() - startedAt)));
Deno.exit();
