import { socketPath } from "../docker/observe.ts";
import { type Level, levels } from "../host/log.ts";
import { parseAddress } from "../topology/address.ts";
import { isImageReference } from "../topology/document.ts";
import { defaultImages, defaultPlanOptions, type ImageNames } from "../topology/plan.ts";

/** The agent's version, as in deno.json and the release's tag. */
export const agentVersion = "0.1.0";

/** The longest host name has 253 characters; brackets add two. */
const maximumHostLength = 255;
/** PATH_MAX of Linux. */
const maximumPathLength = 4096;

// Each parser returns null for a text that is not allowed.

function matching(text: string, pattern: RegExp): string | null {
  return pattern.test(text) ? text : null;
}

function splitList(text: string): string[] {
  return text.split(",").map((item) => item.trim());
}

function parseList(text: string, item: RegExp): readonly string[] | null {
  const items = splitList(text);
  return items.every((it) => item.test(it)) ? items : null;
}

function parsePort(text: string): number | null {
  const number = /^\d{1,9}$/.test(text) ? Number(text) : NaN;
  return number >= 1 && number <= 65535 ? number : null;
}

function parseBoolean(text: string): boolean | null {
  return text === "true" ? true : text === "false" ? false : null;
}

/** Parses a host name or an address; an IPv6 address loses its brackets. */
function parseHost(text: string): string | null {
  // The pattern below would take very long on a long text.
  if (text.length > maximumHostLength) return null;
  // Matches names, IPv4, and IPv6 with at least two colons: a single one would separate a port.
  // Other wrong hosts fail when they are resolved.
  return matching(
    text.replace(/^\[(.*:.*)\]$/, "$1"),
    /^(?=.{1,253}$)(?:\w[\w-]*(?:\.\w[\w-]*)*\.?|[0-9A-Fa-f.]*(?::[0-9A-Fa-f.]*){2,8})$/,
  );
}

/** Parses a path; removes slashes at its end. */
function parsePath(text: string): string | null {
  if (text.length > maximumPathLength) return null;
  // SQLite, the engine and the log each treat control characters differently.
  // deno-lint-ignore no-control-regex
  return matching(text.replace(/(?<=.)\/+$/, ""), /^[^\x00-\x1f]+$/);
}

/** Parses a time such as 30, 30s, 5m or 1h; a bare number is seconds. Returns milliseconds. */
function parseInterval(text: string): number | null {
  const [, amount, unit = "s"] = /^(\d{1,6})([smh]?)$/.exec(text) ?? [];
  const ms = Number(amount) * ({ s: 1, m: 60, h: 3600 }[unit] ?? 1) * 1000;
  return ms >= 5_000 && ms <= 3_600_000 ? ms : null;
}

function parsePrefixes(text: string): readonly string[] | null {
  return parseList(text, /^[A-Za-z0-9][\w.-]*$/);
}

function parseFingerprint(text: string): string | null {
  return matching(text.replaceAll(":", "").toLowerCase(), /^[0-9a-f]{64}$/);
}

function parseServiceImages(text: string): Omit<ImageNames, "base"> | null {
  const [service = "", ...exceptions] = splitList(text);
  const byService = new Map<string, string>();
  for (const exception of exceptions) {
    const [, name, image = ""] = /^([\w.-]+)=(.+)$/.exec(exception) ?? [];
    if (name === undefined || !isImageReference(image) || byService.has(name)) return null;
    byService.set(name, image);
  }
  return isImageReference(service.replaceAll("{service}", "x")) ? { service, byService } : null;
}

function parseListen(text: string): { host: string; port: number } | "off" | null {
  if (text === "off") return text;
  const pattern = /^(?:\[([0-9A-Fa-f:.]+)\]|([\d.]+)):(\d{1,5})$/;
  const [, v6, v4 = "", digits = ""] = pattern.exec(text) ?? [];
  const number = parsePort(digits);
  const isAddress = v6 === undefined ? parseAddress(v4) !== null : URL.canParse(`http://[${v6}]/`);
  return number !== null && isAddress ? { host: v6 ?? v4, port: number } : null;
}

/**
 * A configuration key. `master-host` is set by the flag `--master-host`, the variable
 * `DECNET_MASTER_HOST` or the line `master-host = …` of the ini file, in this order.
 * Its help is in help.ts, which a check does not load.
 */
function option<T>(
  /** The values that are allowed, in words; completes "must be …". */
  allowed: string,
  /** Returns null for a text that is not allowed. */
  parse: (text: string) => T | null,
  /** Null when there is none, or none that is fixed. */
  fixedDefault: T | null = null,
) {
  return { allowed, parse, default: fixedDefault };
}

const port = "a number from 1 to 65535";
const host = "a host name or an IP address";
const prefixes = "comma-separated prefixes of names: letters, digits, dots, dashes and underscores";

/** All configuration keys, in the order of the help: allowed values, parser, default. */
export const options = {
  "master-host": option(host, parseHost),
  "swarmctl-port": option(port, parsePort, 8770),
  "master-name": option(host, parseHost),
  "master-fingerprint": option("64 hex digits, with or without colons", parseFingerprint),
  "host-uuid": option(
    "up to 64 letters, digits, dots, dashes and underscores",
    (text) => matching(text, /^[\w.-]{1,64}$/),
  ),
  "agent-dir": option("a path", parsePath),
  "state-dir": option("a path", parsePath),
  "docker-host": option(
    "unix:// and an absolute path of at most 107 bytes; an engine on another host is not supported",
    socketPath,
  ),
  "interval": option(
    "a time from 5s to 1h, such as 30 (seconds), 30s, 5m or 1h",
    parseInterval,
    30_000,
  ),
  "log-level": option<Level>(
    `one of ${levels.join(", ")}`,
    (text) => levels.find((it) => it === text) ?? null,
    "info",
  ),
  "network-prefix": option(prefixes, parsePrefixes, ["decnet-topology-", "decnet_t_"]),
  "container-prefix": option(prefixes, parsePrefixes, ["decnet-", "decnet_t_"]),
  "base-image": option(
    "the name of an image",
    (text) => isImageReference(text) ? text : null,
    defaultImages.base,
  ),
  "service-image": option(
    "the name of an image, and SERVICE=IMAGE after commas",
    parseServiceImages,
    defaultImages,
  ),
  "services": option("a path", parsePath),
  "publish": option(
    "an IPv4 address of this host, 0.0.0.0 for all, or off",
    (text) => text === "off" || parseAddress(text) !== null ? text : null,
    defaultPlanOptions.publish,
  ),
  // An engine separates the parts of a mount by colons.
  "artifacts-dir": option(
    "an absolute path without a colon",
    (text) => matching(text, /^\/[^:]*$/) && parsePath(text),
  ),
  "listen": option(
    "an IP address and a port, such as 0.0.0.0:8765 or [::]:8765, or off",
    parseListen,
  ),
  "allowed-cn": option(
    "comma-separated common names",
    // deno-lint-ignore no-control-regex
    (text) => parseList(text, /^[^\x00-\x1f]{1,64}$/),
    ["decnet-master"],
  ),
  "supersede": option("true or false", parseBoolean, false),
  "forward-logs": option("true or false", parseBoolean),
  "syslog-port": option(port, parsePort),
  "textfile": option(
    "the path of a file whose name ends in .prom; node_exporter reads no others",
    (text) => matching(text, /[^/]\.prom$/) && parsePath(text),
  ),
} as const;

/** The name of a configuration key. */
export type KeyName = keyof typeof options;

/** The names of all keys. */
export const keyNames = Object.keys(options) as KeyName[];

/** The type of a key's value. */
export type Value<Name extends KeyName> = NonNullable<
  ReturnType<(typeof options)[Name]["parse"]>
>;

/** The environment variable of a key. */
export function variableOf(name: KeyName): string {
  return `DECNET_${name.toUpperCase().replaceAll("-", "_")}`;
}
