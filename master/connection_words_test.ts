import assert from "node:assert/strict";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { certificatesOf, TestClient } from "../tests/support/master_setup.ts";
import { keyKinds, OpensslAuthority, serveIssued } from "../tests/support/openssl.ts";
import { openssl } from "../tests/support/requirements.ts";
import type { ConnectionReason } from "./connection.ts";
import type { TrustReason } from "./trust.ts";

type Certificates = Awaited<ReturnType<typeof certificatesOf>>;

/** Asserts why a heartbeat to this port is not delivered, and the words for it. */
async function assertRejects(
  port: number,
  reason: ConnectionReason | TrustReason,
  words: string | RegExp,
  authority?: OpensslAuthority,
): Promise<void> {
  const worker = await certificatesOf("worker-1");
  const certificates: Certificates = authority
    ? { ...worker, authority: authority.certificatePem }
    : worker;
  using client = await TestClient.to({ port });
  await assert.rejects(client.post({ certificates, timeoutMs: 5_000 }), (error: Error) => {
    const start = `Cannot reach the master at 127.0.0.1:${port}: `;
    const text = error.message.replace(start, "");
    assert.notEqual(text, error.message);
    assert.equal((error.cause as { reason: string }).reason, reason, text);
    if (typeof words === "string") assert.equal(text, words);
    else assert.match(text, words);
    return true;
  });
}

/** Asserts the words for a server that answers the start of a handshake with these bytes. */
async function assertWords(
  answer: Uint8Array,
  reason: ConnectionReason,
  words: string | RegExp,
): Promise<void> {
  const server = createServer((socket) => {
    socket.on("error", () => {}).once("data", () => socket.write(answer));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    await assertRejects((server.address() as AddressInfo).port, reason, words);
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
}

const nothingInCommon = "no TLS cipher, curve or kind of key in common; see the TLS settings and " +
  "the certificate of the master";
const oldTls = "its TLS is older than 1.2, or does not accept its own certificate";

Deno.test("MasterClient.post() says what each alert of a master means", async () => {
  const refusing = [42, 43, 44, 45, 46, 48, 49, 51, 116];
  for (const alert of [0, 10, 20, 22, 40, ...refusing, 47, 50, 70, 71, 80, 86, 90, 112, 120, 200]) {
    const [reason, words]: [ConnectionReason, string | RegExp] = refusing.includes(alert)
      ? [
        "certificate-refused",
        /^it refuses worker\.crt: received fatal alert: \w+ \(\w+\); request /,
      ]
      : alert === 40 || alert === 71
      ? ["nothing-in-common", nothingInCommon]
      : alert === 70
      ? ["old-tls", oldTls]
      : [
        "handshake-ended",
        /^it ended the handshake: received fatal alert: .+ \(\w+\); see its log$/,
      ];
    await assertWords(new Uint8Array([21, 3, 3, 0, 2, 2, alert]), reason, words);
  }
});

/** The start of a handshake as a server of TLS 1.`minor` answers it, with a cipher by its number. */
function serverHello(minor: number, cipher: number): Uint8Array {
  const body = [3, minor + 1, ...new Array(32).fill(7), 0, cipher >> 8, cipher & 255, 0];
  return new Uint8Array([22, 3, minor + 1, 0, body.length + 4, 2, 0, 0, body.length, ...body]);
}

Deno.test("MasterClient.post() says that a port does not speak TLS", async () => {
  const words = "it does not speak TLS on that port; see swarmctl-port";
  const texts = [
    "SSH-2.0-OpenSSH_9.2\r\n",
    "220 mail ESMTP\r\n",
    "HTTP/1.1 400 Bad Request\r\n\r\n",
  ]
    .concat("\0\0\0\0\0\0", "N", "J\0\0\0\n8.0.30\0", `\x16\x03\x01\xff\xff${"a".repeat(100)}`)
    .concat("\x16\x09\x09\x00\x04abcd", `\x16\x03\x03\x00\x20${"z".repeat(32)}`);
  for (const text of texts) {
    await assertWords(Uint8Array.from(text, (it) => it.charCodeAt(0)), "not-tls", words);
  }
});

Deno.test("M8 MasterClient.post() names an old version of TLS", async () => {
  for (const minor of [0, 1]) await assertWords(serverHello(minor, 0x2f), "old-tls", oldTls);
  const other = /^peer misbehaved: SelectedUnofferedCipherSuite/;
  await assertWords(serverHello(2, 0x2f), "other", other);
});

openssl.test("MasterClient.post() says that TLS settings do not fit", async () => {
  using authority = await OpensslAuthority.create();
  await authority.issue({ key: keyKinds.rsa });
  const settings = [
    ["-tls1_2", "-cipher", "AES256-GCM-SHA384"],
    ["-tls1_2", "-groups", "secp521r1"],
    ["-tls1_3", "-groups", "secp521r1"],
    ["-tls1_3", "-ciphersuites", "TLS_AES_128_CCM_SHA256"],
  ];
  for (const args of settings) {
    await using server = await serveIssued(authority, ...args);
    await assertRejects(server.port, "nothing-in-common", nothingInCommon, authority);
  }
  for (const key of [["-algorithm", "RSA-PSS"], ["-algorithm", "ED448"], ecKey("P-224")]) {
    await authority.issue({ key });
    await using server = await serveIssued(authority, "-tls1_2");
    await assertRejects(server.port, "nothing-in-common", nothingInCommon, authority);
  }
  await using server = await serveIssued(authority, "-tls1_3");
  await assertRejects(server.port, "old-tls", oldTls, authority);
});

const weakKey = "its key is too weak for TLS, as RSA under 2048 bits is, or is not that of its " +
  "certificate; issue its certificate again, with a key of EC P-256 for example";
const weakSignature = (kind: string) =>
  `its certificate is signed with ${kind}, which is not accepted; issue it again, with SHA-512`;
const weakAuthority = (kind: string) =>
  `the certificate of its issuer "authority of openssl" has a key of ${kind}, which TLS does not ` +
  "accept; issue both again, with keys of EC P-256 for example";
const ecKey = (name: string) => ["-algorithm", "EC", "-pkeyopt", `ec_paramgen_curve:${name}`];

/** What an authority and the certificate of a master are made with. */
interface Weakness {
  readonly authority?: readonly string[];
  readonly key?: readonly string[];
  readonly hash?: string;
}

const weaknesses: [what: Weakness, reason: TrustReason | ConnectionReason, words: string][] = [
  [{ key: keyKinds.rsa1024 }, "weak-key", weakKey],
  [{ hash: "sha1" }, "weak-signature", weakSignature("SHA-1")],
  [{ authority: keyKinds.rsa, hash: "sha1" }, "weak-signature", weakSignature("SHA-1")],
  [{ authority: ecKey("P-521") }, "weak-signature", weakSignature("SHA-256 by EC P-521")],
  [{ authority: keyKinds.rsa1024 }, "weak-key", weakAuthority("RSA with 1024 bits")],
  [{ authority: ecKey("P-224") }, "weak-key", weakAuthority("EC P-224")],
  [{ authority: ecKey("brainpoolP256r1") }, "weak-key", weakAuthority("EC with this curve")],
  [{ authority: ["-algorithm", "RSA-PSS"] }, "weak-key", weakAuthority("this kind")],
  [{ authority: ["-algorithm", "ED448"] }, "weak-key", weakAuthority("ED448")],
];
const anyCipher = ["-cipher", "ALL:@SECLEVEL=0"];

openssl.test("MasterClient.post() says which key or signature is too weak", async () => {
  for (const [{ authority: key = keyKinds.p256, ...issued }, reason, words] of weaknesses) {
    using authority = await OpensslAuthority.create({ key });
    await authority.issue(issued);
    for (const versions of issued.key ? [["-tls1_2"], ["-tls1_3"]] : [[]]) {
      await using server = await serveIssued(authority, ...versions, ...anyCipher);
      await assertRejects(server.port, reason, words, authority);
    }
  }
});

openssl.test("MasterClient.post() finds no weakness in a foreign authority", async () => {
  using foreign = await OpensslAuthority.create();
  await foreign.issue({ hash: "sha1" });
  await using server = await serveIssued(foreign, ...anyCipher);
  const words = /^its certificate is not signed by ca\.crt: /;
  await assertRejects(server.port, "foreign-authority", words);
});
