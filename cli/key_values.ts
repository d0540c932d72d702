/** What the values of configuration keys may be. */

import { type ImageNames, isImageReference, parseAddress } from "../topology/mod.ts";

/** Of a name, and of an address in brackets. */
const maximumHostLength = 255;
/** The system takes no longer ones. */
const maximumPathLength = 4096;

/** The text if it is of this form, or null. */
export function matching(text: string, pattern: RegExp): string | null {
  return pattern.test(text) ? text : null;
}

/** The number that digits tell, if it is within these bounds, or null. */
export function wholeNumber(text: string, least: number, most: number): number | null {
  const value = /^\d{1,9}$/.test(text) ? Number(text) : NaN;
  return value >= least && value <= most ? value : null;
}

/** A host name or an address, or null; an IPv6 address loses its brackets. */
export function parseHost(text: string): string | null {
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
export function parsePath(text: string): string | null {
  if (text.length > maximumPathLength) return null;
  // SQLite, the engine and the log would each make something else of a control character.
  // deno-lint-ignore no-control-regex
  return matching(text.replace(/(?<=.)\/+$/, ""), /^[^\x00-\x1f]+$/);
}

/** The milliseconds of a time such as 30s, 5m or 1h, or null. */
export function parseInterval(text: string): number | null {
  const [, amount, unit] = /^(\d{1,6})(s|m|h)$/.exec(text) ?? [];
  const ms = Number(amount) * ({ s: 1, m: 60, h: 3600 }[unit ?? ""] ?? NaN) * 1000;
  return ms >= 5_000 && ms <= 3_600_000 ? ms : null;
}

/** Beginnings of names, or null. */
export function parsePrefixes(text: string): readonly string[] | null {
  const prefixes = text.split(",").map((prefix) => prefix.trim());
  return prefixes.every((prefix) => /^[A-Za-z0-9][\w.-]*$/.test(prefix)) ? prefixes : null;
}

/** The name of an image, or null. */
export function parseImage(text: string): string | null {
  return isImageReference(text) ? text : null;
}

/** The images of services, or null. */
export function parseServiceImages(text: string): Omit<ImageNames, "base"> | null {
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
export function parseListen(text: string): { host: string; port: number } | null {
  const [, v6, v4 = "", digits = ""] = /^(?:\[([0-9A-Fa-f:.]+)\]|([\d.]+)):(\d{1,5})$/.exec(text) ??
    [];
  const port = wholeNumber(digits, 1, 65535);
  const isAddress = v6 === undefined ? parseAddress(v4) !== null : URL.canParse(`http://[${v6}]/`);
  return port !== null && isAddress ? { host: v6 ?? v4, port } : null;
}

/** Common names, or null. */
export function parseNames(text: string): readonly string[] | null {
  const names = text.split(",").map((name) => name.trim());
  // deno-lint-ignore no-control-regex
  return names.every((name) => /^[^\x00-\x1f]{1,64}$/.test(name)) ? names : null;
}
