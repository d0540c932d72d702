import { writeAgentDirectory } from "./certificates.ts";
import { testFaults, unhurried } from "./doctor_fault.ts";
import { authority, rogueAuthority } from "./master_setup.ts";

const issue = (options: Partial<Parameters<typeof authority.issue>[0]> = {}) =>
  authority.issue({ commonName: "worker-1", usage: "client", ...options });
const day = 86_400_000;

testFaults([
  {
    name: "a key that everybody may read",
    plant: ({ path }) => Deno.chmod(`${path}/worker.key`, 0o644),
    check: "certificates",
    state: "failed",
    saw: /worker\.key: every user of this host can use it.*mode 0644/,
    mend: ({ path }) => `chmod o= ${path}/worker.key`,
    code: 3,
  },
  {
    name: "an absent certificate",
    plant: ({ path }) => Deno.remove(`${path}/worker.crt`),
    check: "certificates",
    state: "failed",
    saw: /worker\.crt: no such file/,
    mend: ({ path }) => `install -m 644 BUNDLE/worker.crt ${path}/`,
    code: 3,
  },
  {
    name: "a key of another pair",
    plant: async ({ path }) => {
      await Deno.writeTextFile(`${path}/worker.key`, (await issue()).keyPem);
    },
    check: "certificates",
    state: "failed",
    saw: /worker\.key does not fit worker\.crt/,
    mend: ({ path }) => `install -m 600 BUNDLE/worker.crt BUNDLE/worker.key ${path}/`,
    code: 3,
  },
  {
    name: "an encrypted key",
    plant: ({ path }) =>
      Deno.writeTextFile(`${path}/worker.key`, "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAA==\n"),
    check: "certificates",
    state: "failed",
    saw: /worker\.key: it is encrypted/,
    mend: ({ path }) => {
      const key = `${path}/worker.key`;
      return `openssl pkey -in ${key} -out ${key}.new && mv ${key}.new ${key}`;
    },
    code: 3,
  },
  {
    name: "a worker.crt of another authority",
    plant: async ({ path }) => {
      const worker = await rogueAuthority.issue({ commonName: "worker-1", usage: "client" });
      await writeAgentDirectory(path, authority, worker);
      return unhurried;
    },
    check: "authority",
    state: "warning",
    saw:
      /worker\.crt is not signed by ca\.crt: its issuer has the name of the one in ca\.crt, test authority, but another key; /,
    mend: ({ path }) => `install -m 600 BUNDLE/worker.crt BUNDLE/worker.key ${path}/`,
    code: 2,
  },
  {
    name: "an expired worker.crt",
    plant: (setup) => setup.writeCertificates("worker-1", new Date(Date.now() - 1_000)),
    check: "validity",
    state: "failed",
    saw: /worker\.crt has expired at .*this host's clock says/,
    mend: ({ path }) => `install -m 600 BUNDLE/worker.crt BUNDLE/worker.key ${path}/`,
    code: 3,
  },
  {
    name: "a worker.crt that is about to expire",
    plant: (setup) => setup.writeCertificates("worker-1", new Date(Date.now() + 3 * day)),
    check: "validity",
    state: "warning",
    saw: /worker\.crt expires on /,
    mend: ({ path }) => `install -m 600 BUNDLE/worker.crt BUNDLE/worker.key ${path}/`,
    code: 1,
  },
  {
    name: "a clock that is behind",
    plant: async ({ path }) => {
      const notBefore = new Date(Date.now() + day);
      await writeAgentDirectory(path, authority, await issue({ notBefore }));
    },
    check: "validity",
    state: "failed",
    saw: /worker\.crt is not valid before .*set the clock if it is wrong/,
    mend: () => "timedatectl set-ntp true",
    code: 3,
  },
]);
