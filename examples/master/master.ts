/**
 * The smallest useful master for decnet-agent: it receives heartbeats over mutual TLS, keeps them in SQLite,
 * shows all hosts on a page, and pushes topologies. Written from docs/protocol.md; how to use it is
 * in README.md. It is one file, without dependencies: copy it, and make it yours.
 */
// deno-lint-ignore-file no-console

import { createHash, X509Certificate } from "node:crypto";
import * as http from "node:http";
import * as https from "node:https";
import type { AddressInfo } from "node:net";
import { DatabaseSync } from "node:sqlite";
import type { TLSSocket } from "node:tls";
import { parseArgs } from "node:util";

const usage = `usage: master.ts                        receives heartbeats, shows the page
       master.ts enrol UUID WORKER.CRT  knows a host by its certificate; [--name=N] [--agent=HOST:PORT]
       master.ts forget UUID            knows it no longer
       master.ts push UUID FILE HASH    the host is to run this; the hash is of decnet-agent hash FILE

  --database=master.db --ca=ca.crt --cert=master.crt --key=master.key
  --listen=0.0.0.0 --port=8770    where heartbeats come in
  --page-port=8771                where the page is, on 127.0.0.1 only
  --interval=30 --margin=10       in seconds: a host is late after 2 intervals and the margin`;

// What a heartbeat is. Only what is read here is looked at, and nothing that is not as it must be.

type Is<T> = (it: unknown) => it is T;
const text: Is<string> = (it) => typeof it === "string";
const list = <T>(is: Is<T>): Is<T[]> => (it) => Array.isArray(it) && it.every(is);
const either = <A, B>(a: Is<A>, b: Is<B>): Is<A | B> => (it): it is A | B => a(it) || b(it);
const maybe = <T>(is: Is<T>) => either(is, (it): it is null | undefined => it == null);
const object = <T>(fields: { [Key in keyof T]: Is<T[Key]> }): Is<T> => (it): it is T =>
  it instanceof Object &&
  Object.entries<Is<unknown>>(fields).every(([key, is]) => is(Reflect.get(it, key)));
const items = list(object({ type: text, name: text, detail: text }));
const drifted = object({
  missing: items,
  stopped: items,
  unhealthy: items,
  changed: items,
  unexpected: items,
});
const isHeartbeat = object({
  host_uuid: text,
  agent_version: text,
  store: maybe(object({ detail: maybe(text) })),
  topology: maybe(object({
    topology_id: maybe(text),
    applied_version_hash: maybe(text),
    last_error: maybe(text),
    observed: either(
      object({ error: text }),
      object({ bridges: list(text), containers: list(text) }),
    ),
    drift: maybe(either(drifted, object({ detail: text }))),
  })),
});
type Heartbeat = typeof isHeartbeat extends Is<infer T> ? T : never;

function readHeartbeat(json: string): Heartbeat | null {
  try {
    const it: unknown = JSON.parse(json);
    return isHeartbeat(it) ? it : null;
  } catch {
    return null;
  }
}

/** A host; what nobody has said or heard yet is an empty text, or 0. */
interface Host {
  readonly uuid: string;
  readonly name: string;
  /** The SHA-256 of its certificate, `AB:CD:…`. */
  readonly fingerprint: string;
  /** Where its agent listens, `HOST:PORT`. */
  readonly agent: string;
  /** What it is to run, and what came of the last push. */
  readonly topologyId: string;
  readonly versionHash: string;
  readonly document: string;
  readonly pushed: string;
  /** When the last heartbeat came, in milliseconds since 1970. */
  readonly heardAt: number;
  readonly heartbeat: string;
}

/** The hosts, in a database that several processes may have open. */
export class Hosts {
  readonly #database: DatabaseSync;

  constructor(path: string) {
    this.#database = new DatabaseSync(path, { timeout: 5_000 });
    Deno.chmodSync(path, 0o600); // Topology documents may carry passwords.
    const texts = "name fingerprint agent topologyId versionHash document pushed heartbeat".split(
      " ",
    );
    const columns = texts.map((name) => `${name} TEXT NOT NULL DEFAULT ''`);
    this.#database.exec(`CREATE TABLE IF NOT EXISTS hosts
      (uuid TEXT PRIMARY KEY, heardAt INTEGER NOT NULL DEFAULT 0, ${columns}) STRICT`);
  }

  all(): Host[] {
    const rows: unknown = this.#database.prepare("SELECT * FROM hosts ORDER BY name, uuid").all();
    return rows as Host[];
  }

  /** Throws `Error` when no such host is enrolled. */
  set(uuid: string, values: Partial<Host>): void {
    const columns = Object.keys(values).map((name) => `${name} = ?`);
    const update = this.#database.prepare(`UPDATE hosts SET ${columns} WHERE uuid = ?`);
    if (update.run(...Object.values(values), uuid).changes === 0) {
      throw new Error(`host ${uuid} is not enrolled`);
    }
  }

  /** Pins a host to a certificate (PEM). Of a host that is known already all else stays. */
  enrol(uuid: string, certificate: string, more: { name?: string; agent?: string } = {}): void {
    const { fingerprint256: fingerprint } = new X509Certificate(certificate);
    this.#database.prepare("INSERT OR IGNORE INTO hosts (uuid, name) VALUES (?1, ?1)").run(uuid);
    this.set(uuid, { fingerprint, ...more });
  }

  forget(uuid: string): void {
    this.#database.prepare("DELETE FROM hosts WHERE uuid = ?").run(uuid);
  }

  close(): void {
    this.#database.close();
  }
}

/** Certificates are PEM; a host is late after two intervals and the margin; port 0 is a free one. */
export interface MasterOptions {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
  readonly listen: string;
  readonly port: number;
  readonly pagePort: number;
  readonly intervalMs: number;
  readonly marginMs: number;
  readonly log: (line: string) => void;
}

const longestHeartbeat = 1 << 20;

/** Takes heartbeats, shows the page, and pushes to hosts which say that they run something else. */
export async function serve(hosts: Hosts, options: MasterOptions) {
  const { ca, cert, key, intervalMs, marginMs, log } = options;
  if (!(intervalMs > 0 && marginMs >= 0)) throw new Error("--interval and --margin are in seconds");
  const stopping = new AbortController();
  const pushedAt = new Map<string, number>();

  const judge = async (request: http.IncomingMessage): Promise<[status: number, why: string]> => {
    if (`${request.method} ${request.url}` !== "POST /swarm/heartbeat") return [404, "not here"];
    let [body, length] = ["", 0];
    for await (const part of request.setEncoding("utf8")) {
      if ((length += part.length) <= longestHeartbeat) body += part;
    }
    if (length > longestHeartbeat) {
      return [413, `a heartbeat has at most ${longestHeartbeat} characters`];
    }
    const heartbeat = readHeartbeat(body);
    if (!heartbeat) return [422, "this is no heartbeat"];
    const host = hosts.all().find(({ uuid }) => uuid === heartbeat.host_uuid);
    if (!host) return [404, `host ${heartbeat.host_uuid} is not enrolled`];
    const { fingerprint256 } = (request.socket as TLSSocket).getPeerCertificate();
    if (fingerprint256 !== host.fingerprint) return [403, `not the certificate of ${host.uuid}`];
    hosts.set(host.uuid, { heardAt: Date.now(), heartbeat: body });
    if (host.agent && differs(host, heartbeat)) {
      pushAgain(host).catch((error) => log(String(error)));
    }
    return [204, ""];
  };

  // A push that fails makes the agent send a heartbeat at once; so at most one for each interval.
  const pushAgain = async (host: Host) => {
    if (Date.now() - (pushedAt.get(host.uuid) ?? 0) < intervalMs) return;
    pushedAt.set(host.uuid, Infinity); // Not while one is under way.
    const pushed = await push(host, options, stopping.signal);
    if (stopping.signal.aborted) return;
    pushedAt.set(host.uuid, Date.now());
    hosts.set(host.uuid, { pushed });
    log(`pushed to ${host.name}: ${JSON.stringify(pushed)}`);
  };

  const heartbeats = https.createServer({
    ...{ ca, cert, key, requestCert: true, rejectUnauthorized: true, minVersion: "TLSv1.2" },
    ...{ handshakeTimeout: 5_000, headersTimeout: 5_000, requestTimeout: 10_000 },
    keepAliveTimeout: 2 * intervalMs + marginMs, // An agent keeps its connection between heartbeats.
  }, async (request, response) => {
    const [status, detail] = await judge(request).catch((error) => [500, String(error)] as const);
    if (status !== 204) log(`answered ${status}: ${JSON.stringify(detail)}`);
    response.writeHead(status).end(status === 204 ? "" : JSON.stringify({ detail }));
  });
  const pages = http.createServer((request, response) => {
    // A web site could let a name of its own lead here, in order to read the page.
    const isLocal = /^(localhost|127\.0\.0\.1)(:\d+)?$/.test(request.headers.host ?? "");
    const status = !isLocal ? 403 : request.url !== "/" ? 404 : 200;
    response.writeHead(status, pageHeaders).end(status === 200 ? page(hosts.all(), options) : "");
  });
  const listen = (server: http.Server, port: number, host: string) =>
    new Promise<number>((resolve, reject) => {
      server.once("error", reject);
      server.listen(port, host, () => resolve((server.address() as AddressInfo).port));
    });
  const stop = async () => {
    stopping.abort();
    for (const server of [heartbeats, pages]) {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    }
  };
  const port = await listen(heartbeats, options.port, options.listen);
  const url = `http://127.0.0.1:${await listen(pages, options.pagePort, "127.0.0.1")}/`;
  return { port, url, stop };
}

/** Whether a host is to run something, and says that it does not. */
function differs({ topologyId, versionHash }: Host, { topology }: Heartbeat): boolean {
  if (!topologyId || !topology) return false;
  return topology.topology_id !== topologyId || topology.applied_version_hash !== versionHash;
}

/** Pushes to a host's agent what it is to run; answers what came of it. */
export function push(
  { agent, document, versionHash, fingerprint }: Host,
  { ca, cert, key }: Pick<MasterOptions, "ca" | "cert" | "key">,
  stopping = new AbortController().signal,
): Promise<string> {
  if (!agent) return Promise.resolve("failed: its agent's address is not known; enrol --agent");
  const { hostname, port } = new URL(`https://${agent}`);
  const { promise, resolve } = Promise.withResolvers<string>();
  https.request({
    ...{ host: hostname.replace(/[[\]]/g, ""), port, path: "/topology/apply", method: "POST" },
    ...{ ca, cert, key, agent: false, servername: "" },
    // Signed by our authority, and this host's own: then its names do not matter.
    checkServerIdentity: (_, { fingerprint256 }) =>
      fingerprint256 === fingerprint ? undefined : new Error("another host answers there"),
    signal: AbortSignal.any([stopping, AbortSignal.timeout(600_000)]),
  }, async (response) => {
    let reply = "";
    for await (const part of response.setEncoding("utf8")) reply = (reply + part).slice(0, 2_000);
    const { statusCode: status } = response;
    resolve(status === 200 ? "applied" : `refused with ${status}: ${reply}`);
  }).on("error", (error) => resolve(`failed: ${error.message}`))
    // The document as it was read: parsed and written again, 1.0 would be 1, and the hash another.
    .end(`{"hydrated":${document},"version_hash":${JSON.stringify(versionHash)}}`);
  return promise;
}

// The page. What is put into markup`…` is cut and escaped, unless markup`…` has made it.

class Html {
  constructor(readonly source: string) {}
}
type Content = Html | string | number | Content[];

function markup(parts: TemplateStringsArray, ...values: Content[]): Html {
  const show = (it: Content): string => {
    if (it instanceof Html) return it.source;
    if (Array.isArray(it)) return it.map(show).join("");
    // Characters that are not seen, or turn the direction of others, are shown to be there.
    const seen = `${it}`.slice(0, 1_000).replace(/\p{C}/gu, "\u{fffd}");
    return seen.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);
  };
  return new Html(String.raw({ raw: parts }, ...values.map(show)));
}

/** Something that is said of a host, such as `drifted`, and how bad that is. */
interface Sign {
  readonly mark: keyof typeof marks;
  readonly word: string;
  readonly detail?: string;
  readonly names?: readonly string[];
}
// A text variant selector follows: no phone is to make coloured pictures of them.
const marks = { bad: "✖\u{fe0e}", poor: "◆\u{fe0e}", good: "✔\u{fe0e}" };

/** All that is to be said of a host, the worst first. */
function signsOf(host: Host, { intervalMs, marginMs }: MasterOptions): Sign[] {
  const heartbeat = readHeartbeat(host.heartbeat);
  if (!heartbeat) return [{ mark: "poor", word: "not heard of yet" }];
  const signs: Sign[] = [];
  const add = (mark: Sign["mark"], word: string, detail = "") => signs.push({ mark, word, detail });
  const { store, topology } = heartbeat;
  const { observed, drift, last_error: error, topology_id: id } = topology ?? {};
  if (!topology) add("bad", "store unreadable", store?.detail ?? "");
  else if (store?.detail) add("poor", "store out of order", store.detail);
  if (observed && "error" in observed) add("bad", "Docker does not answer", observed.error);
  if (error) add("bad", "apply failed", error);
  if (differs(host, heartbeat)) {
    add("poor", "not what it should run", `expected: ${host.topologyId} at ${host.versionHash}`);
    if (host.pushed) add("poor", "last push", host.pushed);
  }
  if (drift && "missing" in drift) {
    const { missing, stopped, unhealthy, changed, unexpected } = drift;
    const lists = Object.entries({ missing, stopped, unhealthy, changed, unexpected });
    const names = lists.flatMap(([kind, items]) =>
      items.map(({ type, name, detail }) => `${kind}: ${type} ${name}${detail && `, ${detail}`}`)
    );
    if (names.length > 0) signs.push({ mark: "poor", word: "drifted", names });
  } else if (drift) add("poor", "drift unknown", drift.detail);
  if (signs.length === 0) add("good", id == null ? "idle" : drift ? "consistent" : "applied");

  const agoMs = Date.now() - host.heardAt;
  const [ago, unit] = agoMs < 120_000 ? [agoMs / 1000, "s"] : [agoMs / 60_000, "min"];
  const heard = `last heard of ${Math.round(ago)} ${unit} ago`;
  if (agoMs <= 2 * intervalMs + marginMs) add("good", "on time", heard);
  else {signs.unshift({
      mark: "bad",
      word: "late",
      detail: `${heard}; what follows is what it said then`,
    });}
  return Object.keys(marks).flatMap((mark) => signs.filter((sign) => sign.mark === mark));
}

function card(host: Host, signs: readonly Sign[]): Html {
  const { topology, agent_version: version = "unknown" } = readHeartbeat(host.heartbeat) ?? {};
  const { topology_id: id, applied_version_hash: hash } = topology ?? {};
  const shown = ({ mark, word, detail = "", names = [] }: Sign) => {
    const rest = names.length > 20 ? markup`<li>and ${names.length - 20} more` : "";
    const first = names.slice(0, 20).map((name) => markup`<li>${name}`);
    return markup`<li class="${mark}"><b>${marks[mark]} ${word}</b>${detail && `: ${detail}`}
<ul>${first}${rest}</ul>`;
  };
  return markup`<article class="${signs[0]!.mark}"><h2>${host.name}</h2>
<ul>${signs.map(shown)}</ul>
<p>host ${host.uuid}, agent ${version}<br>
${id ? `topology ${id} at ${hash || "no version"}` : "no topology"}</p></article>
`;
}

const style = `
:root { color-scheme: light dark; --page: #f3f4f6; --card: #fff; --text: #1a1a1a; --dim: #555;
  --bad: #b3261e; --poor: #8a5a00; --good: #1b6e3c; }
@media (prefers-color-scheme: dark) { :root { --page: #111; --card: #1e1e20; --text: #eee;
  --dim: #aaa; --bad: #ff8a80; --poor: #ffc766; --good: #7fd69b; } }
body { font: 16px/1.45 system-ui, sans-serif; background: var(--page); color: var(--text);
  max-width: 72rem; margin: 1rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; margin: 0; } h2 { font-size: 1.15rem; margin: 0; }
section { display: grid; gap: 1rem; margin-top: 1rem; align-items: start;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 26rem), 1fr)); }
article { background: var(--card); border-left: .4rem solid; border-radius: .4rem;
  padding: .8rem 1rem; overflow-wrap: anywhere; }
ul { list-style: none; margin: .3rem 0; padding: 0; } ul ul { margin: 0 0 0 1.4rem; font-size: .9rem; }
article p { margin: 0; color: var(--dim); font-size: .85rem; }
article.bad, .bad b, #gone { border-color: var(--bad); } .bad b, #gone { color: var(--bad); }
article.poor { border-color: var(--poor); } .poor b { color: var(--poor); }
article.good { border-color: var(--good); } .good b { color: var(--good); }`;

// Without it the page loads itself again; with it, nothing flickers, and a dead master is shown.
const script = `
async function refresh() {
  const gone = document.querySelector("#gone");
  try {
    const answer = await fetch("/", { signal: AbortSignal.timeout(5000) });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    document.querySelector("main").replaceWith(page.querySelector("main"));
    document.title = page.title;
    gone.hidden = true;
  } catch {
    document.title = "(?) DECNET";
    gone.hidden = false;
  }
  setTimeout(refresh, 1000);
}
setTimeout(refresh, 1000);`;

const sha256 = (source: string) => createHash("sha256").update(source).digest("base64");
const pageHeaders = {
  "content-type": "text/html; charset=utf-8",
  "content-security-policy": "default-src 'none'; connect-src 'self'; base-uri 'none'; " +
    `form-action 'none'; frame-ancestors 'none'; style-src 'sha256-${sha256(style)}'; ` +
    `script-src 'sha256-${sha256(script)}'`,
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cache-control": "no-store",
};

/** All hosts, the worst first. */
function page(hosts: readonly Host[], options: MasterOptions): string {
  const seen = hosts.map((host) => ({ host, signs: signsOf(host, options) }));
  const cards = Object.keys(marks).flatMap((mark) =>
    seen.filter(({ signs: [worst] }) => worst!.mark === mark)
  );
  const words = Map.groupBy(cards, ({ signs: [worst] }) => worst!.word);
  const summary = [...words].map(([word, { length }]) => `${length} ${word}`).join(", ");
  const troubles = cards.filter(({ signs: [worst] }) => worst!.mark !== "good").length;
  return markup`<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<title>${troubles > 0 ? `(${troubles}) ` : ""}DECNET</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<noscript><meta http-equiv="refresh" content="1"></noscript>
<style>${new Html(style)}</style></head>
<body><p id="gone" role="alert" hidden>${marks.bad} The master does not answer: this is old.</p>
<main><h1>DECNET hosts: ${hosts.length}</h1>
${summary || "none is enrolled"}
<section>${cards.map(({ host, signs }) => card(host, signs))}</section></main>
<script>${new Html(script)}</script></body></html>`.source;
}

async function main(args: string[]): Promise<void> {
  const text = (value = "") => ({ type: "string", default: value }) as const;
  const { values: flags, positionals: [command, uuid = "", file = "", hash = ""] } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      ...{ database: text("master.db"), ca: text("ca.crt"), cert: text("master.crt") },
      ...{ key: text("master.key"), listen: text("0.0.0.0"), port: text("8770") },
      ...{ "page-port": text("8771"), interval: text("30"), margin: text("10") },
      ...{ name: text(), agent: text(), help: { type: "boolean", default: false } },
    },
  });
  if (flags.help) return console.log(usage);
  const hosts = new Hosts(flags.database);
  const read = Deno.readTextFileSync;
  const identity = () => ({ ca: read(flags.ca), cert: read(flags.cert), key: read(flags.key) });
  if (command === undefined) {
    const { port, url } = await serve(hosts, {
      ...identity(),
      listen: flags.listen,
      port: Number(flags.port),
      pagePort: Number(flags["page-port"]),
      intervalMs: Number(flags.interval) * 1000,
      marginMs: Number(flags.margin) * 1000,
      log: console.log,
    });
    console.log(`receives heartbeats on port ${port}; the page is ${url}`);
  } else if (command === "enrol" && file) {
    const { name, agent } = flags;
    hosts.enrol(uuid, read(file), { ...(name && { name }), ...(agent && { agent }) });
  } else if (command === "forget" && uuid) {
    hosts.forget(uuid);
  } else if (command === "push" && hash) {
    const document = read(file);
    hosts.set(uuid, { topologyId: JSON.parse(document).topology.id, versionHash: hash, document });
    const pushed = await push(hosts.all().find((host) => host.uuid === uuid)!, identity());
    hosts.set(uuid, { pushed });
    console.log(pushed);
  } else throw new Error(`that is not understood\n${usage}`);
}

if (import.meta.main) {
  await main(Deno.args).catch(({ message }) => {
    console.error(`master: ${message}`);
    Deno.exit(1);
  });
}
