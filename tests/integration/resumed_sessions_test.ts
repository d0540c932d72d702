import assert from "node:assert/strict";
import type { Identity } from "../../master/certificates.ts";
import { agentIdentity, ApiSetup, master } from "../support/api_setup.ts";
import { authority, rogueAuthority } from "../support/master_setup.ts";
import { commonNames, isAuthority, makeCertificate } from "../support/raw_certificates.ts";
import { callTwice, resumingClients } from "../support/resuming_clients.ts";

async function changeAuthority(api: ApiSetup, ...pems: string[]): Promise<void> {
  // Another certificate of its own shows when the change is in use.
  const identity = await agentIdentity("the agent");
  const certificates: Identity = { ...identity, authority: pems.join("") };
  api.loaded = { certificates, problem: null };
  await api.isUsed(certificates);
}

const own = authority.certificatePem;
const other = rogueAuthority.certificatePem;
const options = { reloadIntervalMs: 20 };

for (const { name, needs, run } of resumingClients) {
  needs.test(`sessions outlast a reload and a new ca.crt: ${name}`, () =>
    run(master, async (call) => {
      let port = 0;
      for (let reloads = 0; reloads < 3; reloads++) {
        await using api = await ApiSetup.start({ ...options, port });
        port = api.port;
        await callTwice(call, port);
        assert.equal(await call(port), "resumed 200");
        assert.deepEqual(api.log, []);
      }
      await using api = await ApiSetup.start({ ...options, port });
      for (const authorities of [[own, other], [other, own], [own]]) {
        await changeAuthority(api, ...authorities);
        await callTwice(call, port);
      }
      assert.deepEqual(api.log, []);
    }));

  needs.test(`a former master's session is refused, and logged: ${name}`, () =>
    run(master, async (call) => {
      await using api = await ApiSetup.start(options);
      await callTwice(call, api.port);
      assert.equal(await call(api.port), "resumed 200");
      await changeAuthority(api, other);
      for (let times = 0; times < 5; times++) assert.equal(await call(api.port), "closed");
      const text =
        "warn the API refused a resumed TLS session: its certificate is not signed by ca.crt";
      assert.equal(api.log[0], `${text} api 1`);
      assert.ok(api.log.length <= 3, api.log.join("\n"));
      await changeAuthority(api, other, own);
      await callTwice(call, api.port);
    }));

  needs.test(`a session ends when the certificate has expired: ${name}`, async () => {
    await using api = await ApiSetup.start(options);
    const notAfter = new Date(Math.ceil(Date.now() / 1000 + 2) * 1000);
    const names = { commonName: "decnet-master", usage: "client", notAfter } as const;
    const { certificatePem, keyPem } = await authority.issue(names);
    await run({ ...master, certificate: certificatePem, key: keyPem }, async (call) => {
      assert.deepEqual([await call(api.port), await call(api.port)], ["new 200", "resumed 200"]);
      while (Date.now() <= notAfter.getTime()) await new Promise((next) => setTimeout(next, 20));
      assert.equal(await call(api.port), "closed");
    });
    assert.match(
      api.log[0]!,
      /^warn the API refused a resumed TLS session: its certificate has ex/,
    );
  });

  needs.test(`a session with an authority in between is resumed: ${name}`, async () => {
    const root = makeCertificate({ subject: commonNames(["root"]), extensions: [isAuthority] });
    const [subject, extensions] = [commonNames(["middle"]), [isAuthority]];
    const middle = makeCertificate({ subject, extensions, signer: root });
    const leaf = makeCertificate({ subject: commonNames(["decnet-master"]), signer: middle });
    await using api = await ApiSetup.start(options);
    await changeAuthority(api, root.certificatePem);
    const certificate = leaf.certificatePem + middle.certificatePem;
    await run({ ...master, certificate, key: leaf.keyPem }, async (call) => {
      assert.deepEqual([await call(api.port), await call(api.port)], ["new 200", "resumed 200"]);
      await changeAuthority(api, own, root.certificatePem);
      await callTwice(call, api.port);
    });
    assert.deepEqual(api.log, []);
  });
}
