import assert from "node:assert/strict";
import { ApiSetup, master, rogue, worker } from "./api_setup.ts";
import { certificateOfNames } from "./api_two_names.ts";
import { authority, certificatesOf } from "./master_setup.ts";

const paths = ["/health", "/topology/state", "/topology/apply", "/topology/teardown", "/nowhere"];
const get = "GET /health HTTP/1.1\r\nHost: agent\r\n\r\n";

Deno.test("the API answers 403 to another host's certificate on every path, and reads no body", async () => {
  await using api = await ApiSetup.start();
  for (const path of paths) {
    for (const method of ["GET", "POST", "PUT"]) {
      const reply = await api.callAs(worker, path, { method });
      assert.equal(reply.status, 403, `${method} ${path}`);
      assert.equal(reply.headers.connection, "close");
    }
    for (const more of ["", "Expect: 100-continue\r\n", "Expect: nothing\r\n"]) {
      using client = await api.talk(worker);
      // The body never comes: whoever waited for it would not answer.
      client.say(`POST ${path} HTTP/1.1\r\nHost: agent\r\n${more}Content-Length: 100\r\n\r\n`);
      assert.match(await client.end(), /^HTTP\/1\.1 403 [^]*\{"detail":"[^"]+"\}$/);
    }
  }
  assert.deepEqual(api.service.calls, []);
});

Deno.test("the API lets another host's certificate have no second request, nor a malformed one", async () => {
  await using api = await ApiSetup.start();
  using client = await api.talk(worker);
  client.say(get + get);
  assert.equal((await client.end()).match(/HTTP\/1\.1/g)?.length, 1);
  using other = await api.talk(worker);
  other.say("rubbish\r\n\r\n");
  assert.equal(await other.end(), "");
});

Deno.test("the API lets nobody in whose certificate is not signed by ca.crt and valid now", async () => {
  await using api = await ApiSetup.start();
  const issue = async (notBefore: number, notAfter: number, usage: "client" | "server") => {
    const { certificatePem, keyPem } = await authority.issue({
      commonName: "decnet-master",
      notBefore: new Date(Date.now() + notBefore),
      notAfter: new Date(Date.now() + notAfter),
      usage,
    });
    return { ...master, certificate: certificatePem, key: keyPem };
  };
  const strangers = {
    "no certificate": { authority: authority.certificatePem },
    "one of a rogue authority": rogue,
    "an expired one": await issue(-7_200_000, -60_000, "client"),
    "one that is not valid yet": await issue(3_600_000, 7_200_000, "client"),
    "one for servers only": await issue(-60_000, 60_000, "server"),
  };
  for (const [name, stranger] of Object.entries(strangers)) {
    using client = await api.talk(stranger);
    client.say(get);
    assert.equal(await client.end(), "", name);
  }
  // The same certificate as the expired one, but for its dates.
  const { status } = await api.callAs(await issue(-7_200_000, 60_000, "client"), "/health");
  assert.equal(status, 200);
});

Deno.test("the API allows exactly the names that it was told", async () => {
  await using api = await ApiSetup.start({ allowedNames: ["decnet-master", "backup"] });
  const cases: [name: string, status: number][] = [
    ["decnet-master", 200],
    ["backup", 200],
    ["Backup", 403],
    ["backup ", 403],
    ["backup,decnet-master", 403],
    ["backup\nCN=decnet-master", 403],
    ["", 403],
  ];
  for (const [name, status] of cases) {
    const reply = await api.callAs(await certificatesOf(name), "/health");
    assert.equal(reply.status, status, JSON.stringify(name));
  }
});

Deno.test("the API refuses a certificate of two names, one or both of which are allowed", async () => {
  const cases: [names: string[], status: number][] = [
    [["decnet-master"], 200],
    [["decnet-master", "other"], 403],
    [["other", "decnet-master"], 403],
    [["decnet-master", "decnet-master"], 403],
  ];
  for (const [names, status] of cases) {
    const identity = await certificateOfNames(names);
    await using api = await ApiSetup.start({
      certificates: () => Promise.resolve({ certificates: identity, problem: null }),
    });
    assert.equal((await api.callAs(identity, "/health")).status, status, String(names));
  }
});

Deno.test("the API does not take the authority's own certificate for a client's", async () => {
  // The name of the authority is the same.
  const identity = await certificateOfNames(["decnet-master"]);
  await using api = await ApiSetup.start({
    certificates: () => Promise.resolve({ certificates: identity, problem: null }),
  });
  const { authority: certificate, authorityKey: key } = identity;
  using client = await api.talk({ certificate, key });
  client.say(get);
  assert.equal(await client.end(), "");
});

Deno.test("the API refuses a certificate from the moment on that it has expired", async () => {
  await using api = await ApiSetup.start();
  // It tells whole seconds.
  const notAfter = new Date(Math.ceil(Date.now() / 1000 + 1) * 1000);
  const { certificatePem, keyPem } = await authority.issue({
    commonName: "decnet-master",
    usage: "client",
    notAfter,
  });
  using client = await api.talk({ ...master, certificate: certificatePem, key: keyPem });
  client.say(get);
  await client.hear("200 OK");
  while (Date.now() <= notAfter.getTime()) await api.call("/health");
  client.say(get);
  assert.match(await client.end(), /HTTP\/1\.1 403 /);
});

Deno.test("the API speaks no version of TLS before 1.2", async () => {
  await using api = await ApiSetup.start();
  const alert = 21, handshake = 22;
  assert.equal(await firstRecord(api.port, 0x0302), alert);
  assert.equal(await firstRecord(api.port, 0x0303), handshake);
});

/** The type of the first record that answers a client hello of this version. */
async function firstRecord(port: number, version: number): Promise<number | undefined> {
  const suites = [0xc009, 0xc00a, 0xc02b, 0xc02c];
  const extensions = [
    ...[10, 4, 2, 23], // The curve P-256,
    ...[13, 6, 4, 0x0403, 0x0203], // ECDSA with SHA-256 and SHA-1.
  ];
  const words = (...values: number[]) => values.flatMap((it) => [it >> 8, it & 255]);
  const body = [
    ...words(version),
    ...new Array(32).fill(7),
    0, // No session,
    ...words(2 * suites.length, ...suites),
    ...[1, 0], // no compression.
    ...words(2 * extensions.length, ...extensions),
  ];
  const message = [1, 0, ...words(body.length), ...body];
  const connection = await Deno.connect({ hostname: "127.0.0.1", port });
  await connection.write(Uint8Array.of(22, 3, 1, ...words(message.length), ...message));
  const answer = new Uint8Array(1);
  const length = await connection.read(answer);
  connection.close();
  return length === 1 ? answer[0] : undefined;
}
