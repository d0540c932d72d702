/** Machine code of x86-64: calls pause(2) for ever. */
const pauseCode = [0xb8, 34, 0, 0, 0, 0x0f, 0x05, 0xeb, 0xf7];
/** Calls exit(2) with status 1. */
const exitCode = [0xb8, 60, 0, 0, 0, 0xbf, 1, 0, 0, 0, 0x0f, 0x05];
/** Writes the file that its argument names: open(2), then read(2) and write(2) until the end. */
// deno-fmt-ignore
const catCode = [
  0x48, 0x8b, 0x7c, 0x24, 0x10, 0x31, 0xf6, 0xb8, 2, 0, 0, 0, 0x0f, 0x05, 0x89, 0xc3,
  0x48, 0x81, 0xec, 0, 0x10, 0, 0,
  0x89, 0xdf, 0x48, 0x89, 0xe6, 0xba, 0, 0x10, 0, 0, 0x31, 0xc0, 0x0f, 0x05,
  0x85, 0xc0, 0x7e, 0x13,
  0x89, 0xc2, 0xbf, 1, 0, 0, 0, 0x48, 0x89, 0xe6, 0xb8, 1, 0, 0, 0, 0x0f, 0x05, 0xeb, 0xdb,
  0x89, 0xc7, 0xb8, 60, 0, 0, 0, 0x0f, 0x05,
];
/** Writes a file like `catCode`, and then runs until it is killed. */
const printCode = [...catCode.slice(0, -pauseCode.length), ...pauseCode];
/** Writes where the link that its argument names leads to: readlink(2), then write(2). */
// deno-fmt-ignore
const readlinkCode = [
  0x48, 0x8b, 0x7c, 0x24, 0x10, 0x48, 0x81, 0xec, 0, 0x10, 0, 0,
  0x48, 0x89, 0xe6, 0xba, 0, 0x10, 0, 0, 0xb8, 89, 0, 0, 0, 0x0f, 0x05,
  0x89, 0xc2, 0xbf, 1, 0, 0, 0, 0x48, 0x89, 0xe6, 0xb8, 1, 0, 0, 0, 0x0f, 0x05,
  0x31, 0xff, 0xb8, 60, 0, 0, 0, 0x0f, 0x05,
];

const loadAddress = 0x400000n;
const headerBytes = 64;
const segmentBytes = 56;
const blockBytes = 512;

/**
 * The file system of an image, as a tar archive, made from nothing, as tests can pull none: `/pause`
 * and `/bin/sleep` run until they are killed, `/exit` fails at once, `/cat` and `/readlink` print what
 * a process in the container sees. `/print` prints a file and runs on; `/lines` is one of this text.
 */
export function pausingImage(lines = ""): Uint8Array<ArrayBuffer> {
  const parts = [
    ...tarEntry("pause", executable(pauseCode)),
    ...tarEntry("bin/sleep", executable(pauseCode)),
    ...tarEntry("exit", executable(exitCode)),
    ...tarEntry("cat", executable(catCode)),
    ...tarEntry("readlink", executable(readlinkCode)),
    ...tarEntry("print", executable(printCode)),
    ...tarEntry("lines", new TextEncoder().encode(lines)),
    new Uint8Array(2 * blockBytes),
  ];
  const archive = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    archive.set(part, at);
    at += part.length;
  }
  return archive;
}

/** A static ELF executable: its header, one segment that maps all of it, and the code. */
function executable(code: readonly number[]): Uint8Array {
  const codeAt = headerBytes + segmentBytes;
  const bytes = new Uint8Array(codeAt + code.length);
  const view = new DataView(bytes.buffer);
  const put16 = (at: number, value: number) => view.setUint16(at, value, true);
  const put32 = (at: number, value: number) => view.setUint32(at, value, true);
  const put64 = (at: number, value: bigint) => view.setBigUint64(at, value, true);

  bytes.set([0x7f, ...new TextEncoder().encode("ELF"), 2, 1, 1]); // 64 bits, little-endian
  put16(16, 2); // an executable
  put16(18, 62); // for x86-64
  put32(20, 1);
  put64(24, loadAddress + BigInt(codeAt)); // where it starts
  put64(32, BigInt(headerBytes)); // where the segments are described
  put16(52, headerBytes);
  put16(54, segmentBytes);
  put16(56, 1);

  put32(headerBytes, 1); // to be loaded
  put32(headerBytes + 4, 5); // readable and executable
  put64(headerBytes + 16, loadAddress);
  put64(headerBytes + 24, loadAddress);
  put64(headerBytes + 32, BigInt(bytes.length));
  put64(headerBytes + 40, BigInt(bytes.length));
  put64(headerBytes + 48, 0x1000n);

  bytes.set(code, codeAt);
  return bytes;
}

/** One file of a tar archive: its header and its padded content. */
function tarEntry(name: string, content: Uint8Array): [header: Uint8Array, content: Uint8Array] {
  const header = new Uint8Array(blockBytes);
  const put = (at: number, text: string) => header.set(new TextEncoder().encode(text), at);
  const octal = (value: number, digits: number) => value.toString(8).padStart(digits, "0");
  put(0, name);
  put(100, octal(0o755, 7));
  put(108, octal(0, 7));
  put(116, octal(0, 7));
  put(124, octal(content.length, 11));
  put(136, octal(0, 11));
  put(148, " ".repeat(8)); // The checksum is taken over spaces in its own place.
  put(156, "0");
  put(257, "ustar\0" + "00");
  const checksum = header.reduce((sum, byte) => sum + byte, 0);
  put(148, `${octal(checksum, 6)}\0 `);
  const padded = new Uint8Array(Math.ceil(content.length / blockBytes) * blockBytes);
  padded.set(content);
  return [header, padded];
}
