import assert from "node:assert/strict";
import type { Identity } from "../../api/tls_server.ts";
import { call, type Reply } from "../../tests/api_client.ts";
import { documentOf, type Sample } from "../../tests/real/apply_sample.ts";
import type { Playground } from "../../tests/real/playground.ts";
import { eventually } from "../../tests/real/waiting.ts";
import type { TlsMaster } from "../../tests/tls_master.ts";
import { parseJson, versionHash, writeJson } from "../../topology/mod.ts";
import type { Machine } from "./machine.ts";
import { Service } from "./service.ts";

/** What the checks read of what the agent tells. */
export interface Account {
  readonly observed: {
    readonly bridges?: readonly string[];
    readonly containers?: readonly string[];
    readonly error?: string;
  };
  readonly drift: { readonly state: string };
  readonly last_error: string | null;
}

/** What a site is put together from. */
export interface SiteParts {
  readonly machine: Machine;
  readonly master: TlsMaster;
  readonly playground: Playground;
  /** Where the agent listens, and who may call. */
  readonly api: { readonly port: number; readonly caller: Identity };
}

/** The agent installed on a machine, the master that it reports to, and its corner of the engine. */
export class Site implements SiteParts {
  readonly machine: Machine;
  readonly master: TlsMaster;
  readonly playground: Playground;
  readonly service: Service;
  /** Of the topology that is pushed; its objects belong to the playground. */
  readonly topologyId: string;
  readonly api: SiteParts["api"];

  constructor({ machine, master, playground, api }: SiteParts) {
    this.machine = machine;
    this.master = master;
    this.playground = playground;
    this.service = new Service(machine);
    this.topologyId = `${playground.tag}-7425-40de-944b-e07fc1f90ae7`;
    this.api = api;
  }

  /** The full name of a LAN or a container of the topology. */
  name(short: string): string {
    return `decnet_t_${this.playground.tag}_${short}`;
  }

  /** Calls the agent as its master. Throws `Error` when there is no answer. */
  async call(path: string, body?: string): Promise<Reply> {
    const { port, caller } = this.api;
    const signal = AbortSignal.timeout(30_000);
    const post = body === undefined ? {} : { method: "POST", body };
    return await call(port, path, caller, { signal, ...post });
  }

  /** The text of the document of a topology, on subnets of the playground's own. */
  document(sample: Sample): string {
    return writeJson(documentOf({ id: this.topologyId, ...sample }, this.playground));
  }

  /** Pushes a document to the agent. */
  async push(document: string): Promise<Reply> {
    const hash = await versionHash(parseJson(document));
    return await this.call(
      "/topology/apply",
      `{"hydrated":${document},"version_hash":"${hash}"}`,
    );
  }

  /** Has the agent tear the topology down. */
  async takeDown(): Promise<void> {
    const id = JSON.stringify({ topology_id: this.topologyId });
    const { status, body } = await this.call("/topology/teardown", id);
    assert.equal(status, 200, JSON.stringify(body));
  }

  /** Waits for a beat that says so, from now on; answers what it tells, and who sent it. */
  async beat(
    what: string,
    isWanted: (account: Account) => boolean,
  ): Promise<{ account: Account; sender: string }> {
    const since = Date.now();
    return await eventually(`a beat with ${what}`, () => {
      const wanted = this.master.beats.filter(({ receivedAt }) => receivedAt >= since)
        .map(({ body, clientCommonName: sender }) => ({
          account: (body as { topology: Account }).topology,
          sender,
        }))
        .find(({ account }) => isWanted(account));
      return Promise.resolve(wanted);
    });
  }
}
