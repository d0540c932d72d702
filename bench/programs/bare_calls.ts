/**
 * Makes what a plan asks for with the engine's calls alone, as many at once as the agent: SOCKET FILE.
 * FILE holds the plan as JSON. It checks nothing. Prints how long that took, in milliseconds.
 */

import { EngineConnection } from "../../docker/http.ts";
import type { Plan } from "../../topology/plan.ts";

const parallelCalls = 8;
const [socket = "", file = ""] = Deno.args;
const { networks, containers }: Plan = JSON.parse(Deno.readTextFileSync(file));
const { signal } = new AbortController();
const idle = await Promise.all(
  Array.from({ length: parallelCalls }, () => EngineConnection.open(socket, signal)),
);
const waiting: PromiseWithResolvers<EngineConnection>[] = [];

async function call(path: string, body?: unknown): Promise<string> {
  let connection = idle.pop();
  if (!connection) {
    waiting.push(Promise.withResolvers());
    connection = await waiting.at(-1)!.promise;
  }
  await connection.send([{ method: "POST", path, body }]);
  const answer = await connection.answers.next();
  const next = waiting.shift();
  if (next) next.resolve(connection);
  else idle.push(connection);
  const text = new TextDecoder().decode(answer.body);
  if (answer.status >= 300) throw new Error(`${path}: ${answer.status} ${text}`);
  return text;
}

async function create({ name, request }: Plan["containers"][number]): Promise<void> {
  const { NetworkingConfig, ...rest } = request;
  const [first, ...more] = Object.entries(NetworkingConfig?.EndpointsConfig ?? {});
  const body = {
    ...rest,
    NetworkingConfig: { EndpointsConfig: Object.fromEntries(first ? [first] : []) },
  };
  const { Id } = JSON.parse(await call(`/containers/create?name=${name}`, body));
  for (const [network, EndpointConfig] of more) {
    await call(`/networks/${network}/connect`, { Container: Id, EndpointConfig });
  }
  await call(`/containers/${Id}/start`);
}

const startedAt = performance.now();
await Promise.all(networks.map(({ request }) => call("/networks/create", request)));
const deckies = Map.groupBy(containers, ({ decky }) => decky);
await Promise.all([...deckies.values()].map(async ([base, ...services]) => {
  await create(base!);
  await Promise.all(services.map(create));
}));
await Deno.stdout.write(new TextEncoder().encode(String(performance.now() - startedAt)));
Deno.exit();
