/** The page of the example master, with four hosts of which three go wrong: `deno task demo --web`. */

import { setTimeout as delay } from "node:timers/promises";
import { Hosts, serve } from "../examples/master/master.ts";
import { authority } from "../tests/support/master_setup.ts";
import { until } from "../tests/support/environment.ts";
import { DemoAgent, Host, intervalMs, Narrator, type Setting } from "./demo_stage.ts";

/** The example master with its page, and four hosts with the real agent. */
export class DemoWeb {
  readonly #hosts: Host[] = [];
  readonly #agents: DemoAgent[] = [];

  private constructor(readonly url: string) {}

  /** Starts master and hosts, and waits until each host runs what was pushed to it. */
  static async open({ folder, ending }: Setting, stack: AsyncDisposableStack): Promise<DemoWeb> {
    const names = { commonName: "decnet-master", ipAddresses: ["127.0.0.1"] };
    const { certificatePem: cert, keyPem: key } = await authority.issue(names);
    const hosts = stack.adopt(new Hosts(`${folder}/master.db`), (hosts) => hosts.close());
    const { port, url, stop } = await serve(hosts, {
      ...{ ca: authority.certificatePem, cert, key, intervalMs, marginMs: 4_000, log: () => {} },
      ...{ listen: "127.0.0.1", port: 0, pagePort: 0 },
    });
    stack.defer(stop);
    const web = new DemoWeb(url);
    const narrator = new Narrator(() => {});
    for (const name of ["lab-1", "lab-2", "lab-3", "lab-4"]) {
      const own = `${folder}/${name}`;
      await Deno.mkdir(own);
      const host = stack.use(await Host.standIn(own));
      const setting = { folder: own, narrator, ending };
      const agent = stack.use(new DemoAgent(setting, { masterPort: port, host, uuid: name }));
      await agent.start();
      hosts.enrol(name, await Deno.readTextFile(`${own}/worker.crt`));
      const { text: document, topology, versionHash } = host.document;
      hosts.set(name, { topologyId: topology.id, versionHash, document });
      hosts.set(name, { agent: `127.0.0.1:${agent.port}` });
      web.#hosts.push(host);
      web.#agents.push(agent);
    }
    const isApplied = ({ heartbeat, versionHash }: { heartbeat: string; versionHash: string }) =>
      heartbeat.includes(`_hash":"${versionHash}"`);
    await until(() => hosts.all().every(isApplied), { signal: ending.signal });
    return web;
  }

  /** Makes the second host drift, the third lose its engine and the fourth fall silent. */
  async disturb(): Promise<void> {
    const [, drifting, failing] = this.#hosts as [Host, Host, Host];
    const services = drifting.document.plan.containers.filter(({ service }) => service !== null);
    await drifting.call("POST", `/containers/${services[0]!.name}/kill`);
    await drifting.call("DELETE", `/containers/${services[1]!.name}?force=1`);
    await failing.stop();
    await this.#agents[3]![Symbol.asyncDispose]();
  }
}

/** Shows what can be seen on the page, for some seconds or until the demo is ended. */
export async function webStory(
  setting: Setting,
  { stack, seconds }: { stack: AsyncDisposableStack; seconds: number },
): Promise<void> {
  const { narrator, ending: { signal } } = setting;
  const web = await DemoWeb.open(setting, stack);
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
