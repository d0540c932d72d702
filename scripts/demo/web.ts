import { setTimeout as delay } from "node:timers/promises";
import { Hosts, serve } from "../../examples/master/master.ts";
import { createAuthority, writeAgentDirectory } from "../../tests/support/certificates.ts";
import { LoopingAgent } from "./looping_agent.ts";
import { Narrator } from "./narrator.ts";
import { configurationOf } from "./stage.ts";
import { StandInHost } from "./stand_in_host.ts";

const intervalMs = 2_000;
const marginMs = 1_000;
const patienceMs = 30_000;

/** A host with the real agent on it. */
interface Lab {
  readonly name: string;
  readonly host: StandInHost;
  readonly agent: LoopingAgent;
}

/** The example master, with its page, and four hosts. */
interface Web {
  readonly url: string;
  readonly labs: readonly [Lab, Lab, Lab, Lab];
}

/** What it is made of. */
export interface WebOptions {
  readonly folder: string;
  /** Ends all waiting. */
  readonly signal: AbortSignal;
  /** Takes an error that comes up where nobody waits. */
  readonly onError: (error: unknown) => void;
  /** Ends all that is started. */
  readonly stack: AsyncDisposableStack;
}

/** Starts master and hosts, and waits until each host runs what the master has pushed to it. */
export async function openWeb({ folder, signal, onError, stack }: WebOptions): Promise<Web> {
  const authority = await createAuthority("demo authority");
  const names = { commonName: "decnet-master", ipAddresses: ["127.0.0.1"] };
  const { certificatePem: cert, keyPem: key } = await authority.issue(names);
  const hosts = stack.adopt(new Hosts(`${folder}/master.db`), (hosts) => hosts.close());
  const { port, url, stop } = await serve(hosts, {
    ...{ ca: authority.certificatePem, cert, key, intervalMs, marginMs, log: () => {} },
    ...{ listen: "127.0.0.1", port: 0, pagePort: 0 },
  });
  stack.defer(stop);

  const openLab = async (name: string): Promise<Lab> => {
    const own = `${folder}/${name}`;
    await Deno.mkdir(own);
    const worker = await authority.issue({ commonName: name });
    await writeAgentDirectory(own, authority, worker);
    hosts.enrol(name, worker.certificatePem);
    const host = stack.use(await StandInHost.open(own));
    const flags = [
      ...["--master-host=127.0.0.1", `--swarmctl-port=${port}`, `--host-uuid=${name}`],
      ...[`--agent-dir=${own}`, `--state-dir=${own}`, "--listen=127.0.0.1:8765"],
    ];
    const narrator = new Narrator({ write: () => {}, width: 100, coloured: false });
    const pace = { intervalMs, minEarlyGapMs: 500 };
    const options = { pace, narrator, signal, onError };
    const agent = new LoopingAgent(configurationOf([...flags, ...host.flags]), options);
    stack.defer(() => agent.stop());
    await agent.start();
    const { text: document, topology, versionHash } = host.document;
    hosts.set(name, { topologyId: topology.id, versionHash, document });
    hosts.set(name, { agent: `127.0.0.1:${agent.port}` });
    return { name, host, agent };
  };
  const labs = [await openLab("lab-1"), await openLab("lab-2")] as const;
  const web: Web = { url, labs: [...labs, await openLab("lab-3"), await openLab("lab-4")] };
  const isDone = () =>
    hosts.all().every(({ beat, versionHash }) => beat.includes(`_hash":"${versionHash}"`));
  const limit = AbortSignal.any([signal, AbortSignal.timeout(patienceMs)]);
  for (; !isDone(); limit.throwIfAborted()) await delay(50);
  return web;
}

/** One host drifts, one loses its engine, and one falls silent; the first stays as it is. */
export async function disturb({ labs: [_, drifting, failing, silent] }: Web): Promise<void> {
  const { host } = drifting;
  const services = host.document.plan.containers.filter(({ service }) => service !== null);
  await host.kill(services[0]!.name);
  await host.remove(services[1]!.name);
  await failing.host.stop();
  await silent.agent.stop();
}
