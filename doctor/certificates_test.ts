import assert from "node:assert/strict";
import type { AgentSetup } from "../tests/support/agent_setup.ts";
import { createAuthority, writeAgentDirectory } from "../tests/support/certificates.ts";
import {
  examineHost,
  type HostOptions,
  normalise,
  service,
  testFaults,
  unhurried,
  unitFile,
  withContext,
  withFlag,
  without,
} from "../tests/support/doctor_setup.ts";
import { authority, rogueAuthority, startMaster } from "../tests/support/master_setup.ts";
import {
  attribute,
  element,
  isAuthority,
  makeCertificate,
} from "../tests/support/raw_certificates.ts";

const day = 86_400_000;
/** The service runs as its own user; the doctor as root. */
const asService = { [unitFile]: "[Service]\nUser=decnet-agent\n" };

const setClock = "set the clock: timedatectl set-ntp true";
/** What the doctor says to renew files in the folder of the certificates. */
const put = (files: string, folder = "PATH", owner = "root") =>
  `put ${files} (issued by the master for this host) into ${folder}, owned by ${owner}` +
  (files.includes("worker.key") ? " with mode 0600" : "");
const renew = put("worker.crt, worker.key");
const all = put("ca.crt, worker.crt, worker.key");
/** Writes a certificate of this host, of another authority or of other times. */
const issueInto = async (
  { path }: AgentSetup,
  issuer = authority,
  days: [number, number] = [-1, 9],
) => {
  const [notBefore, notAfter] = days.map((it) => new Date(Date.now() + it * day));
  const options = { notBefore: notBefore!, notAfter: notAfter! };
  const worker = await issuer.issue({ commonName: "worker-1", usage: "client", ...options });
  await writeAgentDirectory(path, authority, worker);
};
/** Examines a host, and returns the fixes of some checks. */
const fixesOf = async (setup: AgentSetup, names: string[], options: HostOptions = {}) => {
  const report = await examineHost(setup, options);
  return names.map((name) => normalise(setup, report.of(name).fix));
};

Deno.test("doctor has the file replaced that the master's handshake shows", () =>
  withContext(async (setup) => {
    await issueInto(setup, rogueAuthority);
    assert.deepEqual(await fixesOf(setup, ["master"], unhurried), [renew]);
    await Deno.writeTextFile(`${setup.path}/ca.crt`, rogueAuthority.certificatePem);
    assert.deepEqual(await fixesOf(setup, ["master"]), [put("ca.crt")]);
  }));

Deno.test("doctor reads certificates whose names are not UTF-8", () =>
  withContext(async (setup) => {
    const name = element(0x30, element(0x31, attribute(element(0x14, Uint8Array.of(0xfc)))));
    const signer = makeCertificate({ subject: name, extensions: [isAuthority] });
    const worker = makeCertificate({ subject: name, signer });
    await writeAgentDirectory(setup.path, signer, worker);
    const report = await examineHost(setup, unhurried);
    assert.equal(report.of("authority").details, 'worker.crt is signed by ca.crt, "?"');
    assert.match(
      report.of("certificates").details,
      /: worker\.crt names "\?", worker\.key fits it$/,
    );
  }));

Deno.test("doctor has all certificates replaced where two authorities are in them", () =>
  withContext(async (setup) => {
    await issueInto(setup, await createAuthority("another one"));
    const { details, fix } = (await examineHost(setup)).of("authority");
    assert.match(details, /its issuer is another one, and ca\.crt is test authority; the files/);
    assert.equal(normalise(setup, fix), all);
  }));

Deno.test("doctor doubts the clock rather than two certificates that have expired", () =>
  withContext(async (setup) => {
    await issueInto(setup, authority, [-9, -1]);
    assert.deepEqual(await fixesOf(setup, ["validity"]), [renew]);
    const [notBefore, notAfter] = [new Date(Date.now() - 9 * day), new Date(Date.now() - day)];
    await using old = await startMaster({ certificate: { notBefore, notAfter } });
    const flags = withFlag(setup, "swarmctl-port", String(old.port));
    const { details, fix } = (await examineHost(setup, { flags })).of("validity");
    assert.match(
      details,
      /^by this host's clock the master's certificate has expired as well; worker/,
    );
    assert.equal(fix, setClock);
  }));

Deno.test("doctor puts certificates where the service finds them", () =>
  withContext(async (setup) => {
    const flags = without(setup, "agent-dir");
    const files = "ca.crt, worker.crt, worker.key";
    const installing = put(files, "/etc/decnet/agent", "decnet-agent");
    const restart = `${installing}, then: systemctl restart decnet-agent`;
    const packaged = { [unitFile]: "[Service]\nUser=decnet-agent\n" };
    for (const uid of [0, service]) {
      const options = { flags, uid, files: packaged };
      assert.deepEqual(await fixesOf(setup, ["certificates"], options), [restart]);
    }
    const absent = {
      [unitFile]: null,
      "/run/systemd/units/invocation:decnet-agent.service": null,
    };
    const own = put(files, "/.decnet/agent", "decnet-agent");
    assert.deepEqual(
      await fixesOf(setup, ["certificates"], { flags, uid: service, files: absent }),
      [own],
    );
  }));

testFaults([
  {
    name: "a folder of certificates that does not exist",
    plant: (setup) => ({ flags: withFlag(setup, "agent-dir", `${setup.path}/none`) }),
    finding: "certificates: failed",
    details: /none\/ca\.crt: no such file/,
    fix: put("ca.crt, worker.crt, worker.key", "PATH/none"),
  },
  {
    name: "an absent key of the service's user",
    plant: async ({ path }) => {
      await Deno.chmod(path, 0o755);
      await Deno.remove(`${path}/worker.key`);
      return { files: asService };
    },
    finding: "certificates: failed",
    details: /worker\.key: no such file/,
    fix: put("worker.key", "PATH", "decnet-agent"),
  },
  {
    name: "a folder of certificates that the service's user cannot enter",
    plant: async (setup) => {
      const folder = `${setup.path}/certificates`;
      await Deno.mkdir(folder, { mode: 0o700 });
      for (const file of ["ca.crt", "worker.crt", "worker.key"]) {
        await Deno.copyFile(`${setup.path}/${file}`, `${folder}/${file}`);
      }
      return { files: asService, flags: withFlag(setup, "agent-dir", folder) };
    },
    finding: "certificates: failed",
    details: /user decnet-agent cannot enter .*certificates.*owner root, group root, mode 0700/,
    fix: "let users enter it: chmod a+x PATH/certificates",
    code: 3,
  },
  {
    name: "a key that only root can read",
    plant: async ({ path }) => {
      await Deno.chmod(path, 0o755);
      return { files: asService };
    },
    finding: "certificates: failed",
    details: /worker\.key: user decnet-agent cannot read it.*owner root, group root, mode 0600/,
    fix:
      "make decnet-agent its owner: chown decnet-agent PATH/worker.key && chmod 0600 PATH/worker.key",
    code: 3,
  },
  {
    name: "a key that everybody may read",
    plant: ({ path }) => Deno.chmod(`${path}/worker.key`, 0o644),
    finding: "certificates: failed",
    details: /worker\.key: every user of this host can read it.*mode 0644/,
    fix: "remove the access of other users: chmod o= PATH/worker.key",
  },
  {
    name: "a key of another pair",
    plant: async ({ path }) => {
      await Deno.writeTextFile(
        `${path}/worker.key`,
        (await authority.issue({ commonName: "other" })).keyPem,
      );
    },
    finding: "certificates: failed",
    details: /worker\.key does not fit worker\.crt/,
    fix: renew,
  },
  {
    name: "an encrypted key",
    plant: ({ path }) =>
      Deno.writeTextFile(`${path}/worker.key`, "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAA==\n"),
    finding: "certificates: failed",
    details: /worker\.key: it is encrypted/,
    fix: renew,
  },
  {
    name: "a worker.crt of another authority",
    plant: async (setup) => {
      await issueInto(setup, rogueAuthority);
      return unhurried;
    },
    finding: "authority: warning",
    details:
      /worker\.crt is not signed by ca\.crt: its issuer has the name of the one in ca\.crt, test authority, but another key; /,
    fix: all,
    code: 2,
  },
  {
    name: "an expired worker.crt",
    plant: (setup) => setup.writeCertificates("worker-1", new Date(Date.now() - 1_000)),
    finding: "validity: failed",
    details: /worker\.crt has expired at .*this host's clock says/,
    fix: renew,
  },
  {
    name: "a worker.crt that is about to expire",
    plant: (setup) => setup.writeCertificates("worker-1", new Date(Date.now() + 3 * day)),
    finding: "validity: warning",
    details: /worker\.crt expires on /,
    fix: renew,
  },
  {
    name: "a clock that is behind",
    plant: (setup) => issueInto(setup, authority, [1, 9]),
    finding: "validity: failed",
    details: /worker\.crt is not valid before .*set the clock if it is wrong/,
    fix: setClock,
  },
]);
