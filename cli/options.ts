import { DatabaseSync } from "node:sqlite";
import { socketPath } from "../docker/observe.ts";
import { parseAddress } from "../topology/address.ts";
import { isImageReference } from "../topology/document.ts";
import type { ImageNames } from "../topology/plan.ts";

/** The agent's version, as in deno.json and the release's tag. */
export const agentVersion = "0.1.0";

/** Versions of the agent and of what it is built on. */
export function versions(): { agent: string; deno: string; sqlite: string } {
  const database = new DatabaseSync(":memory:");
  const { version } = database.prepare("SELECT sqlite_version() AS version").get()!;
  database.close();
  return { agent: agentVersion, deno: Deno.version.deno, sqlite: String(version) };
}

/** What the values of configuration keys may be. */

/** Of a name, and of an address in brackets. */
const maximumHostLength = 255;
/** The system takes no longer ones. */
const maximumPathLength = 4096;

/** The text if it is of this form, or null. */
function matching(text: string, pattern: RegExp): string | null {
  return pattern.test(text) ? text : null;
}

/** The number that digits tell, if it is within these bounds, or null. */
function wholeNumber(text: string, least: number, most: number): number | null {
  const value = /^\d{1,9}$/.test(text) ? Number(text) : NaN;
  return value >= least && value <= most ? value : null;
}

/** A host name or an address, or null; an IPv6 address loses its brackets. */
function parseHost(text: string): string | null {
  // Patterns may take very long for a text that is.
  if (text.length > maximumHostLength) return null;
  // Names, IPv4, and IPv6 with two colons at least, as one would part a port from a host; what is
  // no host at all fails when it is resolved.
  return matching(
    text.replace(/^\[(.*:.*)\]$/, "$1"),
    /^(?=.{1,253}$)(?:\w[\w-]*(?:\.\w[\w-]*)*\.?|[0-9A-Fa-f.]*(?::[0-9A-Fa-f.]*){2,8})$/,
  );
}

/** A path without slashes at its end, or null. */
function parsePath(text: string): string | null {
  if (text.length > maximumPathLength) return null;
  // SQLite, the engine and the log would each make something else of a control character.
  // deno-lint-ignore no-control-regex
  return matching(text.replace(/(?<=.)\/+$/, ""), /^[^\x00-\x1f]+$/);
}

/** The milliseconds of a time such as 30s, 5m or 1h, or null. */
function parseInterval(text: string): number | null {
  const [, amount, unit] = /^(\d{1,6})(s|m|h)$/.exec(text) ?? [];
  const ms = Number(amount) * ({ s: 1, m: 60, h: 3600 }[unit ?? ""] ?? NaN) * 1000;
  return ms >= 5_000 && ms <= 3_600_000 ? ms : null;
}

/** Beginnings of names, or null. */
function parsePrefixes(text: string): readonly string[] | null {
  const prefixes = text.split(",").map((prefix) => prefix.trim());
  return prefixes.every((prefix) => /^[A-Za-z0-9][\w.-]*$/.test(prefix)) ? prefixes : null;
}

/** The name of an image, or null. */
function parseImage(text: string): string | null {
  return isImageReference(text) ? text : null;
}

/** The images of services, or null. */
function parseServiceImages(text: string): Omit<ImageNames, "base"> | null {
  const [service = "", ...others] = text.split(",").map((part) => part.trim());
  const byService = new Map<string, string>();
  for (const other of others) {
    const [, name, image] = /^([\w.-]+)=(.+)$/.exec(other) ?? [];
    if (name === undefined || !isImageReference(image!) || byService.has(name)) return null;
    byService.set(name, image!);
  }
  return isImageReference(service.replaceAll("{service}", "x")) ? { service, byService } : null;
}

/** The address and the port of a listener, or null. */
function parseListen(text: string): { host: string; port: number } | null {
  const [, v6, v4 = "", digits = ""] = /^(?:\[([0-9A-Fa-f:.]+)\]|([\d.]+)):(\d{1,5})$/.exec(text) ??
    [];
  const port = wholeNumber(digits, 1, 65535);
  const isAddress = v6 === undefined ? parseAddress(v4) !== null : URL.canParse(`http://[${v6}]/`);
  return port !== null && isAddress ? { host: v6 ?? v4, port } : null;
}

/** Common names, or null. */
function parseNames(text: string): readonly string[] | null {
  const names = text.split(",").map((name) => name.trim());
  // deno-lint-ignore no-control-regex
  return names.every((name) => /^[^\x00-\x1f]{1,64}$/.test(name)) ? names : null;
}

/**
 * A configuration key. `master-host` is set by the flag `--master-host`, the variable
 * `DECNET_MASTER_HOST` or the line `master-host = …` of the ini file, in this order.
 */
interface Key<T> {
  /** What stands for the value in the help. */
  readonly placeholder: string;
  /** One line for the help. */
  readonly summary: string;
  /** The default, in words for the help. */
  readonly fallback: string;
  /** What a value may be, in words; it completes "must be …". */
  readonly allowed: string;
  /** The value, or null when `text` is none. */
  readonly parse: (text: string) => T | null;
}

const key = <T>(it: Key<T>): Key<T> => it;

/** All configuration keys, in the order of the help. */
export const keys = {
  "master-host": key({
    placeholder: "HOST",
    summary: "the master to report to",
    fallback: "none: beats are printed, not sent",
    allowed: "a host name or an IP address",
    parse: parseHost,
  }),
  "swarmctl-port": key({
    placeholder: "PORT",
    summary: "the master's port",
    fallback: "8770",
    allowed: "a number from 1 to 65535",
    parse: (text) => wholeNumber(text, 1, 65535),
  }),
  "master-name": key({
    placeholder: "NAME",
    summary: "the name that the master's certificate must bear",
    fallback: "the value of master-host",
    allowed: "a host name or an IP address",
    parse: parseHost,
  }),
  "master-fingerprint": key({
    placeholder: "HEX",
    summary: "SHA-256 of the master's certificate; no other is accepted",
    fallback: "none",
    allowed: "64 hex digits, colons between them or not",
    parse: (text) => matching(text.replaceAll(":", "").toLowerCase(), /^[0-9a-f]{64}$/),
  }),
  "host-uuid": key({
    placeholder: "UUID",
    summary: "this host's id at the master; required with master-host",
    fallback: "none",
    allowed: "up to 64 letters, digits, dots, dashes and underscores",
    parse: (text) => matching(text, /^[\w.-]{1,64}$/),
  }),
  "agent-dir": key({
    placeholder: "DIR",
    summary: "the folder of ca.crt, worker.crt and worker.key",
    fallback: "/etc/decnet/agent if it exists, else ~/.decnet/agent",
    allowed: "a path",
    parse: parsePath,
  }),
  "state-dir": key({
    placeholder: "DIR",
    summary: "the folder of topology.db",
    fallback: "$STATE_DIRECTORY, else /var/lib/decnet-agent, " +
      "else (not root) $XDG_STATE_HOME/decnet-agent",
    allowed: "a path",
    parse: parsePath,
  }),
  "docker-host": key({
    placeholder: "unix://PATH",
    summary: "the engine's socket",
    fallback: "$DOCKER_HOST, else the first socket of Docker or Podman that exists",
    allowed:
      "unix:// and an absolute path of at most 107 bytes; the agent speaks to the engine of its own host only",
    parse: socketPath,
  }),
  "interval": key({
    placeholder: "TIME",
    summary: "the time between two beats",
    fallback: "30s",
    allowed: "a time from 5s to 1h, such as 30s, 5m or 1h",
    parse: parseInterval,
  }),
  "network-prefix": key({
    placeholder: "LIST",
    summary: "how the names of our networks begin",
    fallback: "decnet-topology-,decnet_t_",
    allowed: "comma-separated beginnings of names: letters, digits, dots, dashes and underscores",
    parse: parsePrefixes,
  }),
  "container-prefix": key({
    placeholder: "LIST",
    summary: "how the names of our containers begin",
    fallback: "decnet-,decnet_t_",
    allowed: "comma-separated beginnings of names: letters, digits, dots, dashes and underscores",
    parse: parsePrefixes,
  }),
  "base-image": key({
    placeholder: "IMAGE",
    summary: "the image of the containers that hold a decky's network",
    fallback: "debian:bookworm-slim",
    allowed: "the name of an image",
    parse: parseImage,
  }),
  "service-image": key({
    placeholder: "LIST",
    summary: "the image of services, {service} in it standing for the service's name; " +
      "SERVICE=IMAGE after a comma for a service of its own",
    fallback: "decnet/{service}:latest",
    allowed: "the name of an image, and SERVICE=IMAGE after commas",
    parse: parseServiceImages,
  }),
  "listen": key({
    placeholder: "ADDR:PORT",
    summary: "where the master may push topologies to, over mutual TLS",
    fallback: "off",
    allowed: "an IP address and a port, such as 0.0.0.0:8765 or [::]:8765",
    parse: parseListen,
  }),
  "allowed-cn": key({
    placeholder: "LIST",
    summary: "whose certificates may push, by their common names",
    fallback: "decnet-master",
    allowed: "comma-separated common names",
    parse: parseNames,
  }),
  "supersede": key({
    placeholder: "BOOL",
    summary: "whether another topology is torn down when one is applied, instead of a refusal",
    fallback: "false",
    allowed: "true or false",
    parse: (text) => new Map([["true", true], ["false", false]]).get(text) ?? null,
  }),
  "textfile": key({
    placeholder: "FILE",
    summary:
      "where metrics for Prometheus go after each beat: a file NAME.prom in the folder that " +
      "the textfile collector of node_exporter reads",
    fallback: "off",
    allowed: "the path of a file whose name ends in .prom, as node_exporter reads no others",
    parse: (text) => /[^/]\.prom$/.test(text) ? parsePath(text) : null,
  }),
} as const;

/** The name of a configuration key. */
export type KeyName = keyof typeof keys;

/** The names of all keys. */
export const keyNames = Object.keys(keys) as KeyName[];

/** The environment variable of a key. */
export function variableOf(name: KeyName): string {
  return `DECNET_${name.toUpperCase().replaceAll("-", "_")}`;
}
