import { crc32, gunzipSync, inflateRawSync } from "node:zlib";

/**
 * Returns the content of one regular file in a gzip-compressed tar archive.
 *
 * Reads names as npm packs them: up to 100 bytes, without a ustar prefix. Throws `Error` if the file
 * is not there or the archive is damaged.
 */
export function readTarGzEntry(tgz: Uint8Array, name: string): Uint8Array {
  try {
    return findInTar(gunzipSync(tgz), name);
  } catch (cause) {
    const why = (cause as Error).message;
    throw new Error(`Cannot read ${name} from the tar archive: ${why}`, { cause });
  }
}

function findInTar(tar: Uint8Array, wanted: string): Uint8Array {
  for (let at = 0; at + 512 <= tar.length && tar[at] !== 0;) {
    const header = tar.subarray(at, at + 512);
    const name = cString(header.subarray(0, 100));
    const size = parseInt(cString(header.subarray(124, 136)), 8);
    const start = at + 512;
    if (!(start + size <= tar.length)) throw new Error(`damaged header at byte ${at}`);
    const isFile = header[156] === 0 || header[156] === "0".charCodeAt(0);
    if (isFile && name === wanted) {
      return tar.subarray(start, start + size);
    }
    at = start + Math.ceil(size / 512) * 512;
  }
  throw new Error("no such file in it");
}

function cString(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes).split("\0", 1)[0]!;
}

const endOfDirectory = 0x06054b50;
const directoryEntry = 0x02014b50;
const localHeader = 0x04034b50;

/**
 * Returns the content of one file in a zip archive.
 *
 * Reads stored and deflated files, without zip64 and encryption. Checks the size and the CRC-32.
 * Throws `Error` if any of that fails.
 */
export function readZipEntry(zip: Uint8Array, name: string): Uint8Array {
  const view = new DataView(zip.buffer, zip.byteOffset, zip.byteLength);
  try {
    return readContent(view, findZipEntry(view, name));
  } catch (cause) {
    const why = (cause as Error).message;
    throw new Error(`Cannot read ${name} from the zip archive: ${why}`, { cause });
  }
}

/** Where the directory's entry for a file stands. */
function findZipEntry(view: DataView, name: string): number {
  const end = findEndOfDirectory(view);
  let at = view.getUint32(end + 16, true);
  for (let left = view.getUint16(end + 10, true); left > 0; left--) {
    if (view.getUint32(at, true) !== directoryEntry) {
      throw new Error(`no directory entry at byte ${at}`);
    }
    const nameLength = view.getUint16(at + 28, true);
    const entryName = bytesOf(view, at + 46, nameLength);
    if (new TextDecoder().decode(entryName) === name) return at;
    at += 46 + nameLength + view.getUint16(at + 30, true) + view.getUint16(at + 32, true);
  }
  throw new Error("no such file in it");
}

/** The end record stands last, with a comment of up to 65,535 bytes after it. */
function findEndOfDirectory(view: DataView): number {
  const last = view.byteLength - 22;
  for (let at = last; at >= 0 && at >= last - 0xffff; at--) {
    if (view.getUint32(at, true) === endOfDirectory) return at;
  }
  throw new Error("no directory at its end");
}

function readContent(view: DataView, entry: number): Uint8Array {
  const method = view.getUint16(entry + 10, true);
  const size = view.getUint32(entry + 24, true);
  const local = view.getUint32(entry + 42, true);
  if (view.getUint32(local, true) !== localHeader) {
    throw new Error(`no local header at byte ${local}`);
  }
  // The extra field may have another length here than in the directory.
  const start = local + 30 + view.getUint16(local + 26, true) + view.getUint16(local + 28, true);
  const packed = bytesOf(view, start, view.getUint32(entry + 20, true));
  const content = unpack(packed, method, size);
  if (content.length !== size) throw new Error(`${content.length} bytes, expected ${size}`);
  if (crc32(content) === view.getUint32(entry + 16, true)) return content;
  throw new Error("its CRC-32 does not fit");
}

function unpack(packed: Uint8Array, method: number, size: number): Uint8Array {
  const [stored, deflated] = [0, 8];
  if (method === stored) return packed;
  if (method !== deflated) throw new Error(`unknown compression ${method}`);
  return inflateRawSync(packed, { maxOutputLength: Math.max(size, 1) });
}

function bytesOf(view: DataView, start: number, length: number): Uint8Array {
  if (start + length > view.byteLength) throw new Error("it is cut short");
  return new Uint8Array(view.buffer, view.byteOffset + start, length);
}
