import assert from "node:assert/strict";
import { createServer } from "node:https";
import { call } from "./api_client.ts";
import { agentIdentity, ApiSetup, master } from "./api_setup.ts";
import { listenPlainTcp } from "./plain_tcp.ts";

Deno.test("ApiServer.start() does not listen where clients are let in without a certificate", async () => {
  // What versions of Deno before 2.7.14 do with these options.
  const forgetful = { requestCert: false, rejectUnauthorized: false };
  let servers = 0;
  const started = ApiSetup.start({
    createServer: (options) => {
      servers++;
      return createServer({ ...options, ...forgetful });
    },
  });
  await assert.rejects(started, {
    message: "Cannot listen: this runtime lets clients in without a certificate",
  });
  // One to be tried, and the one that never came to listen.
  assert.equal(servers, 2);
});

Deno.test("ApiServer.start() does not listen with certificates that are of no use", async () => {
  const { certificate, authority } = await agentIdentity("a");
  const { key } = await agentIdentity("b");
  const certificates = { authority, certificate, key };
  await assert.rejects(
    ApiSetup.start({ certificates: () => Promise.resolve({ certificates, problem: null }) }),
    /^Error: Cannot use worker\.crt, worker\.key and ca\.crt for TLS: /,
  );
  const failure = new Error("Cannot use /etc/decnet/agent/ca.crt: no such file");
  await assert.rejects(ApiSetup.start({ certificates: () => Promise.reject(failure) }), failure);
});

Deno.test("ApiServer.start() says why it cannot listen", async () => {
  using taken = listenPlainTcp();
  const cases: [host: string, port: number, message: string][] = [
    [
      "127.0.0.1",
      taken.port,
      `127.0.0.1:${taken.port}: another program listens there; stop it, or let listen name another port`,
    ],
    [
      "192.0.2.1",
      8765,
      "192.0.2.1:8765: this host has no such address; let listen name one that it has",
    ],
    [
      "2001:db8::1",
      8765,
      "[2001:db8::1]:8765: this host has no such address; let listen name one that it has",
    ],
  ];
  for (const [host, port, message] of cases) {
    await assert.rejects(ApiSetup.start({ host, port }), {
      message: `Cannot listen on ${message}`,
    });
  }
});

Deno.test("the API listens on IPv6 addresses", async () => {
  await using api = await ApiSetup.start({ host: "::1" });
  const { status } = await call(api.port, "/health", master, { host: "::1" });
  assert.equal(status, 200);
});

Deno.test("the API listens on all addresses, of both kinds", async () => {
  await using api = await ApiSetup.start({ host: "::" });
  for (const host of ["::1", "127.0.0.1"]) {
    assert.equal((await call(api.port, "/health", master, { host })).status, 200);
  }
});
