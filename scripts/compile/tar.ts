import { gunzipSync } from "node:zlib";

/**
 * Returns the content of one regular file in a gzip-compressed tar archive.
 *
 * Names as npm packs them are read: up to 100 bytes, and the ustar prefix. Throws an
 * Error if the file is not there or the archive is damaged.
 */
export function readTarGzEntry(tgz: Uint8Array, name: string): Uint8Array {
  try {
    return findInTar(gunzipSync(tgz), name);
  } catch (cause) {
    const why = (cause as Error).message;
    throw new Error(`Cannot read ${name} from the tar archive: ${why}`, {
      cause,
    });
  }
}

function findInTar(tar: Uint8Array, wanted: string): Uint8Array {
  for (let at = 0; at + 512 <= tar.length && tar[at] !== 0;) {
    const header = tar.subarray(at, at + 512);
    const name = cString(header.subarray(0, 100));
    const prefix = cString(header.subarray(345, 500));
    const size = parseInt(cString(header.subarray(124, 136)), 8);
    const start = at + 512;
    if (!(size >= 0 && start + size <= tar.length)) {
      throw new Error(`damaged header at byte ${at}`);
    }
    const isFile = header[156] === 0 || header[156] === "0".charCodeAt(0);
    if (isFile && (prefix ? `${prefix}/${name}` : name) === wanted) {
      return tar.subarray(start, start + size);
    }
    at = start + Math.ceil(size / 512) * 512;
  }
  throw new Error("no such file in it");
}

function cString(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  const used = end < 0 ? bytes : bytes.subarray(0, end);
  return new TextDecoder().decode(used);
}
