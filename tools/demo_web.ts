/** The page of the example master, with four hosts of which three go wrong: `deno task demo --web`. */

import { setTimeout as delay } from "node:timers/promises";
import { Hosts, serve } from "../examples/master/master.ts";
import { authority } from "../tests/support/master_setup.ts";
import { until } from "../tests/support/environment.ts";
import { DemoAgent, Host, intervalMs, Narrator, type Setting } from "./demo_stage.ts";

/** The example master's page, and how to make three of its four hosts go wrong. */
interface DemoWeb {
  readonly url: string;
  /** Makes the second host drift, the third lose its engine and the fourth fall silent. */
  disturb(): Promise<void>;
}

/** Starts the master and hosts with the real agent; waits until each host runs its topology. */
async function openWeb(setting: Setting, stack: AsyncDisposableStack): Promise<DemoWeb> {
  const { folder, ending } = setting;
  const names = { commonName: "decnet-master", ipAddresses: ["127.0.0.1"] };
  const { certificatePem: cert, keyPem: key } = await authority.issue(names);
  const known = stack.adopt(new Hosts(`${folder}/master.db`), (hosts) => hosts.close());
  const { port, url, stop } = await serve(known, {
    ...{ ca: authority.certificatePem, cert, key, intervalMs, marginMs: 4_000, log: () => {} },
    ...{ listen: "127.0.0.1", port: 0, pagePort: 0 },
  });
  stack.defer(stop);
  const open = async (name: string): Promise<[Host, DemoAgent]> => {
    const own = { folder: `${folder}/${name}`, narrator: new Narrator(() => {}), ending };
    await Deno.mkdir(own.folder);
    const host = stack.use(await Host.standIn(own.folder));
    const agent = stack.use(new DemoAgent(own, { masterPort: port, host, uuid: name }));
    await agent.start();
    known.enrol(name, await Deno.readTextFile(`${own.folder}/worker.crt`));
    const { text: document, topology, versionHash } = host.document;
    known.set(name, { topologyId: topology.id, versionHash, document });
    known.set(name, { agent: `127.0.0.1:${agent.port}` });
    return [host, agent];
  };
  await open("lab-1");
  const [drifting] = await open("lab-2");
  const [failing] = await open("lab-3");
  const [, silent] = await open("lab-4");
  const isApplied = ({ heartbeat, versionHash }: { heartbeat: string; versionHash: string }) =>
    heartbeat.includes(`_hash":"${versionHash}"`);
  await until(() => known.all().every(isApplied), { signal: ending.signal });
  const disturb = async () => {
    const services = drifting.document.plan.containers.filter(({ service }) => service !== null);
    await drifting.call("POST", `/containers/${services[0]!.name}/kill`);
    await drifting.call("DELETE", `/containers/${services[1]!.name}?force=1`);
    await failing.stop();
    await silent[Symbol.asyncDispose]();
  };
  return { url, disturb };
}

/** Shows what can be seen on the page, for some seconds or until the demo is ended. */
export async function webStory(
  setting: Setting,
  { stack, seconds }: { stack: AsyncDisposableStack; seconds: number },
): Promise<void> {
  const { narrator, ending: { signal } } = setting;
  const web = await openWeb(setting, stack);
  narrator.say("master", `has pushed a topology to each of 4 hosts; its page is ${web.url}`);
  const pause = async (ms: number) => {
    await delay(Math.min(ms, 2 ** 31 - 1), undefined, { signal }).catch(() => {});
    signal.throwIfAborted();
  };
  const calmSeconds = Math.min(seconds, 4);
  await pause(calmSeconds * 1000);
  await web.disturb();
  narrator.say("host", "on lab-2 a container dies, and another one is removed");
  narrator.say("host", "on lab-3 the engine stops");
  narrator.say("agent", "on lab-4 stops: that host will be late");
  await pause((seconds - calmSeconds) * 1000);
}
