import { X509Certificate } from "node:crypto";
import type { HeartbeatBody } from "../../agent/heartbeat.ts";
import { versionHash } from "../../topology/hash.ts";
import { parseJson } from "../../topology/json.ts";
import { call, serverFingerprint } from "./api_setup.ts";
import type { Authority } from "./certificates.ts";
import { type MasterAnswer, TlsMaster } from "./tls_master.ts";

/** A host as the real master has enrolled it. */
interface EnrolledHost {
  readonly uuid: string;
  /** Its certificate, PEM. */
  readonly certificate: string;
  /** Where its agent listens. */
  readonly address: string;
  readonly port: number;
}

/** How a controller is started. */
interface ControllerOptions {
  readonly authority: Authority;
  readonly host: EnrolledHost;
  /** The address that it listens on. */
  readonly address?: string;
  /** How often a flagged topology is pushed; the real master takes 10,000. */
  readonly pushEveryMs: number;
}

/** A call to the agent. As in the real master, only the status is left of an answer; null without one. */
interface AgentCall {
  readonly path: string;
  /** Null for a call that is about no topology. */
  readonly topologyId: string | null;
  readonly status: number | null;
}

/** A topology that the host is to run. */
interface ActiveTopology {
  readonly id: string;
  /** Its document and hash, without the flag and with it: `needs_resync` is part of what is hashed. */
  readonly plain: { readonly text: string; readonly hash: string };
  readonly flagged: { readonly text: string; readonly hash: string };
  needsResync: boolean;
}

async function version(document: string, needsResync: boolean) {
  const flag = `"needs_resync":${needsResync}`;
  const text = document.replace(/"needs_resync":\s*(?:true|false)/, flag);
  return { text, hash: await versionHash(parseJson(text)) };
}

/** How long an idle connection is kept, as the real master does. */
const keepAliveMs = 5_000;

/**
 * A stand-in that answers and calls as the real master does. It compares id and hash of each heartbeat
 * with those of every active topology; one that differs is flagged, and pushed at intervals until the
 * answer is 200. It does not look at drift. A first push and a teardown are sent once. Each call takes
 * two connections: on the first, only the certificate is compared with the enrolled one.
 */
export class Controller implements AsyncDisposable {
  /** All calls to the agent, oldest first. */
  readonly calls: AgentCall[] = [];
  readonly #host: EnrolledHost;
  readonly #fingerprint: string;
  readonly #identity: Parameters<typeof call>[2];
  readonly #active = new Map<string, ActiveTopology>();
  readonly #timer: ReturnType<typeof setInterval>;
  #isPushing = false;
  /** Calls follow each other. */
  #lastTurn: Promise<unknown> = Promise.resolve();

  private constructor(
    readonly master: TlsMaster,
    identity: Parameters<typeof call>[2],
    { host, pushEveryMs }: ControllerOptions,
  ) {
    this.#host = host;
    this.#fingerprint = new X509Certificate(host.certificate).fingerprint256;
    this.#identity = identity;
    master.answer = () => this.#answer();
    this.#timer = setInterval(() => this.#pushFlagged(), pushEveryMs);
  }

  /** Starts it, with certificates of the authority that have the real master's names. */
  static async start(options: ControllerOptions): Promise<Controller> {
    const { authority, address: host = "127.0.0.1" } = options;
    const certificate = await authority.issue({ commonName: "swarmctl", dnsNames: ["swarmctl"] });
    const client = await authority.issue({ commonName: "decnet-master" });
    const identity = {
      authority: authority.certificatePem,
      certificate: client.certificatePem,
      key: client.keyPem,
    };
    const master = await TlsMaster.start({ authority, certificate, host, keepAliveMs });
    return new Controller(master, identity, options);
  }

  /** What the last heartbeat said. Throws `Error` while none has come. */
  get reported(): HeartbeatBody {
    const heartbeat = this.master.heartbeats.at(-1);
    if (!heartbeat) throw new Error("no heartbeat has come");
    return heartbeat.body as HeartbeatBody;
  }

  /** Pushes a topology once and makes it active, whatever the answer; returns the status. */
  async deploy(id: string, document: string): Promise<number | null> {
    const [plain, flagged] = [await version(document, false), await version(document, true)];
    const topology: ActiveTopology = { id, plain, flagged, needsResync: false };
    return await this.#inTurn(async () => {
      const status = await this.#push(topology);
      this.#active.set(id, topology);
      return status;
    });
  }

  /** Flags an active topology, as an operator may. */
  flag(id: string): void {
    this.#active.get(id)!.needsResync = true;
  }

  /** Makes a topology inactive and sends one teardown; returns the status. */
  async teardown(id: string): Promise<number | null> {
    this.#active.delete(id);
    const body = JSON.stringify({ topology_id: id });
    return await this.#inTurn(() => this.#call("/topology/teardown", id, body));
  }

  /** Makes all topologies inactive and gives up the host; returns the status. */
  async selfDestruct(): Promise<number | null> {
    this.#active.clear();
    return await this.#inTurn(() => this.#call("/self-destruct", null));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    await this.#lastTurn;
    await this.master.stop();
  }

  #answer(): MasterAnswer {
    const { host_uuid: uuid, topology } = this.reported;
    if (uuid !== this.#host.uuid) return { status: 404 };
    const { clientFingerprint } = this.master.heartbeats.at(-1)!;
    if (clientFingerprint !== this.#fingerprint) return { status: 403 };
    for (const it of this.#active.values()) {
      const { hash } = it.needsResync ? it.flagged : it.plain;
      const isExpected = topology?.topology_id === it.id &&
        topology.applied_version_hash === hash;
      if (!isExpected) it.needsResync = true;
    }
    return { status: 204 };
  }

  async #pushFlagged(): Promise<void> {
    if (this.#isPushing) return;
    this.#isPushing = true;
    await this.#inTurn(async () => {
      for (const it of this.#active.values()) {
        if (it.needsResync && await this.#push(it) === 200) it.needsResync = false;
      }
    });
    this.#isPushing = false;
  }

  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#lastTurn.then(work);
    this.#lastTurn = turn;
    return await turn;
  }

  #push({ id, plain, flagged, needsResync }: ActiveTopology): Promise<number | null> {
    const { text, hash } = needsResync ? flagged : plain;
    // The text as it is: parsed and written again, 1.0 would become 1, and the hash another.
    return this.#call("/topology/apply", id, `{"hydrated":${text},"version_hash":"${hash}"}`);
  }

  async #call(path: string, topologyId: string | null, body?: string): Promise<number | null> {
    const status = await this.#send(path, body).catch(() => null);
    this.calls.push({ path, topologyId, status });
    return status;
  }

  async #send(path: string, body?: string): Promise<number | null> {
    const { address: host, port } = this.#host;
    if (await serverFingerprint(port, host) !== this.#fingerprint) return null;
    const { status } = await call(port, path, this.#identity, { host, method: "POST", body });
    return status;
  }
}
