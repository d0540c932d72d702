import { socketPath } from "../docker/observe.ts";
import { levels } from "../host/log.ts";
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

function parsePort(text: string): number | null {
  const port = /^\d{1,9}$/.test(text) ? Number(text) : NaN;
  return port >= 1 && port <= 65535 ? port : null;
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
  const prefixes = splitList(text);
  return prefixes.every((prefix) => /^[A-Za-z0-9][\w.-]*$/.test(prefix)) ? prefixes : null;
}

function parseFingerprint(text: string): string | null {
  return matching(text.replaceAll(":", "").toLowerCase(), /^[0-9a-f]{64}$/);
}

function parseImage(text: string): string | null {
  return isImageReference(text) ? text : null;
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

/** Parses a folder that an engine can mount, which separates its parts by colons. */
function parseMountedFolder(text: string): string | null {
  return /^\/[^:]*$/.test(text) ? parsePath(text) : null;
}

function parsePublish(text: string): string | null {
  return text === "off" || parseAddress(text) !== null ? text : null;
}

function parseListen(text: string): { host: string; port: number } | "off" | null {
  if (text === "off") return text;
  const pattern = /^(?:\[([0-9A-Fa-f:.]+)\]|([\d.]+)):(\d{1,5})$/;
  const [, v6, v4 = "", digits = ""] = pattern.exec(text) ?? [];
  const port = parsePort(digits);
  const isAddress = v6 === undefined ? parseAddress(v4) !== null : URL.canParse(`http://[${v6}]/`);
  return port !== null && isAddress ? { host: v6 ?? v4, port } : null;
}

function parseNames(text: string): readonly string[] | null {
  const names = splitList(text);
  // deno-lint-ignore no-control-regex
  return names.every((name) => /^[^\x00-\x1f]{1,64}$/.test(name)) ? names : null;
}

/**
 * A configuration key. `master-host` is set by the flag `--master-host`, the variable
 * `DECNET_MASTER_HOST` or the line `master-host = …` of the ini file, in this order.
 * Its help is in help.ts, which a check does not load.
 */
function option<T>(
  /** Written like a value; null when there is none, or none that is fixed. */
  defaultText: string | null,
  /** The values that are allowed, in words; completes "must be …". */
  allowed: string,
  /** Returns null for a text that is not allowed. */
  parse: (text: string) => T | null,
) {
  return { default: defaultText, allowed, parse };
}

const prefixes = "comma-separated prefixes of names: letters, digits, dots, dashes and underscores";

/** All configuration keys, in the order of the help: default, allowed values, parser. */
export const options = {
  "master-host": option(null, "a host name or an IP address", parseHost),
  "swarmctl-port": option("8770", "a number from 1 to 65535", parsePort),
  "master-name": option(null, "a host name or an IP address", parseHost),
  "master-fingerprint": option(null, "64 hex digits, with or without colons", parseFingerprint),
  "host-uuid": option(
    null,
    "up to 64 letters, digits, dots, dashes and underscores",
    (text) => matching(text, /^[\w.-]{1,64}$/),
  ),
  "agent-dir": option(null, "a path", parsePath),
  "state-dir": option(null, "a path", parsePath),
  "docker-host": option(
    null,
    "unix:// and an absolute path of at most 107 bytes; an engine on another host is not supported",
    socketPath,
  ),
  "interval": option(
    "30s",
    "a time from 5s to 1h, such as 30 (seconds), 30s, 5m or 1h",
    parseInterval,
  ),
  "log-level": option(
    "info",
    `one of ${levels.join(", ")}`,
    (text) => levels.find((it) => it === text) ?? null,
  ),
  "network-prefix": option("decnet-topology-,decnet_t_", prefixes, parsePrefixes),
  "container-prefix": option("decnet-,decnet_t_", prefixes, parsePrefixes),
  "base-image": option(defaultImages.base, "the name of an image", parseImage),
  "service-image": option(
    defaultImages.service,
    "the name of an image, and SERVICE=IMAGE after commas",
    parseServiceImages,
  ),
  "services": option(null, "a path", parsePath),
  "publish": option(
    defaultPlanOptions.publish,
    "an IPv4 address of this host, 0.0.0.0 for all, or off",
    parsePublish,
  ),
  "artifacts-dir": option(null, "an absolute path without a colon", parseMountedFolder),
  "listen": option(
    null,
    "an IP address and a port, such as 0.0.0.0:8765 or [::]:8765, or off",
    parseListen,
  ),
  "allowed-cn": option("decnet-master", "comma-separated common names", parseNames),
  "supersede": option("false", "true or false", parseBoolean),
  "forward-logs": option(null, "true or false", parseBoolean),
  "syslog-port": option(null, "a number from 1 to 65535", parsePort),
  "textfile": option(
    null,
    "the path of a file whose name ends in .prom; node_exporter reads no others",
    (text) => /[^/]\.prom$/.test(text) ? parsePath(text) : null,
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

/** Returns the default of a key that has a fixed default. */
export function defaultOf<Name extends KeyName>(name: Name): Value<Name> {
  const { parse, default: text } = options[name];
  return parse(text!) as Value<Name>;
}

/** The environment variable of a key. */
export function variableOf(name: KeyName): string {
  return `DECNET_${name.toUpperCase().replaceAll("-", "_")}`;
}
