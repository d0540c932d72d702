import type { IssuedCertificate } from "./certificates.ts";
import { TemporaryFolder } from "./environment.ts";
import { pemOf } from "./raw_certificates.ts";
import { outputOf } from "./requirements.ts";
import { plantKey } from "./secrets.ts";

/** Runs OpenSSL in a folder and returns its standard output. Throws `Error` when it fails. */
export function runOpenssl(cwd: string, args: readonly string[]): Promise<string> {
  return outputOf(["openssl", ...args], { cwd });
}

/**
 * Asks OpenSSL whether a certificate has a name; null where it cannot read it, or its
 * names. Writes it to a file.
 */
export async function opensslFinds(
  der: Uint8Array,
  name: string,
  file: string,
): Promise<boolean | null> {
  await Deno.writeTextFile(file, pemOf(der));
  const isAddress = name.includes(":") || /^[\d.]+$/.test(name);
  const check = [isAddress ? "-checkip" : "-checkhost", name];
  const { stdout } = await new Deno.Command("openssl", {
    args: ["x509", "-noout", "-in", file, "-ext", "subjectAltName", ...check],
    stderr: "null",
  }).output();
  const text = new TextDecoder().decode(stdout);
  const [, names] = /Alternative Name: (?:critical)?\n +([^\n]*)/.exec(text) ?? [];
  const isRead = names === undefined || /^(DNS|IP|URI|email|DirName|Reg|other|<EMPTY>)/.test(names);
  const [, not] = /does (NOT )?match certificate/.exec(text) ?? [];
  return text === "" || !isRead ? null : not === undefined;
}

/** The arguments of `openssl genpkey` for some kinds of key. */
export const keyKinds = {
  p256: ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
  rsa: ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
  rsa1024: ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"],
} as const;

/** How a certificate of OpenSSL differs from the usual one. */
interface OpensslIssue {
  /** The arguments of `openssl genpkey`. */
  readonly key?: readonly string[];
  /** The hash of the signature. */
  readonly hash?: string;
}

/** An authority of OpenSSL, in a folder of its own. */
export class OpensslAuthority implements Disposable {
  readonly #folder = new TemporaryFolder();
  certificatePem = "";

  private constructor() {}

  /** Its folder, which also holds the last issued pair: `own.crt` and `own.key`. */
  get path(): string {
    return this.#folder.path;
  }

  /** Creates an authority with a key of any kind. */
  static async create({ key = keyKinds.p256, hash = "sha256" }: OpensslIssue = {}) {
    const authority = new OpensslAuthority();
    await authority.#run("genpkey", ...key, "-out", "ca.key");
    const request = ["req", "-x509", "-key", "ca.key", "-subj", "/CN=authority of openssl"];
    await authority.#run(...request, `-${hash}`, "-days", "99", "-out", "ca.crt");
    authority.certificatePem = await authority.#read("ca.crt");
    return authority;
  }

  /** Issues a certificate for `worker-1`, `master.test` and 127.0.0.1 on a new key of any kind. */
  async issue(
    { key = keyKinds.p256, hash = "sha256" }: OpensslIssue = {},
  ): Promise<Omit<IssuedCertificate, "fingerprint">> {
    await this.#run("genpkey", ...key, "-out", "own.key");
    await this.#run("pkey", "-in", "own.key", "-pubout", "-out", "own.pub");
    // The request has another key: not every kind can sign one.
    await this.#run("req", "-new", "-key", "ca.key", "-subj", "/CN=worker-1", "-out", "own.csr");
    const names = "basicConstraints=CA:FALSE\nsubjectAltName=DNS:master.test,IP:127.0.0.1\n";
    await Deno.writeTextFile(`${this.path}/own.ext`, names);
    const signer = ["-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", `-${hash}`];
    const files = ["-in", "own.csr", "-force_pubkey", "own.pub", "-extfile", "own.ext"];
    await this.#run("x509", "-req", ...files, ...signer, "-days", "99", "-out", "own.crt");
    const keyPem = await this.#read("own.key");
    plantKey(keyPem);
    return { certificatePem: await this.#read("own.crt"), keyPem };
  }

  [Symbol.dispose](): void {
    this.#folder[Symbol.dispose]();
  }

  #run(...args: string[]): Promise<string> {
    return runOpenssl(this.path, args);
  }

  #read(name: string): Promise<string> {
    return Deno.readTextFile(`${this.path}/${name}`);
  }
}

/** A TLS server of OpenSSL on 127.0.0.1: it can do what the runtime cannot. */
export interface OpensslServer extends AsyncDisposable {
  readonly port: number;
  /** Returns what it has received and printed. */
  said(): string;
}

/** Starts a server; `args` follow `openssl s_server`. */
export async function serveOpenssl(
  cwd: string,
  args: readonly string[],
  port = 0,
): Promise<OpensslServer> {
  const server = new Deno.Command("openssl", {
    args: ["s_server", "-accept", `127.0.0.1:${port}`, ...args],
    cwd,
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const reader = server.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  while (!/^ACCEPT.*\n/m.test(text)) {
    const { value, done } = await reader.read();
    if (done) throw new Error(`openssl has ended: ${text}`);
    text += value;
  }
  const read = async () => {
    for (let next = await reader.read(); !next.done; next = await reader.read()) text += next.value;
  };
  const over = read();
  return {
    // It names the port only if it chose one.
    port: port || Number(/^ACCEPT.*:(\d+)/m.exec(text)![1]),
    said: () => text,
    async [Symbol.asyncDispose]() {
      server.kill("SIGKILL");
      await over;
      await server.stdin.close();
      await server.status;
    },
  };
}

/** Starts a server with the pair that an authority has issued last; it demands a certificate. */
export function serveIssued({ path }: OpensslAuthority, ...args: string[]): Promise<OpensslServer> {
  const files = ["-cert", "own.crt", "-key", "own.key", "-Verify", "2", "-CAfile", "ca.crt"];
  return serveOpenssl(path, [...files, ...args]);
}
