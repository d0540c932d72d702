import assert from "node:assert/strict";
import { asUser, user } from "./machine.ts";
import type { Check } from "./site.ts";

/** Its own, and the process files. */
const writable = /^\/(var\/lib\/decnet-agent|tmp|var\/tmp|dev\/pts|proc)$/;
/** What may be executed. Mounted writable by systemd 252; it is root's. */
const code = /^\/usr\/(lib(64)?|local\/bin\/decnet-agent)$/;
const executable = /^\/run\/systemd\/incoming$/;
/** What systemd-nspawn brings along. */
const ofContainer = /^\/run\/host\//;

const stateFolder = "/var/lib/decnet-agent";

/** What keeps the service from doing anything else. */
export const confinementChecks: readonly Check[] = [
  {
    name: "it runs as its own user, in the group of the socket",
    async run({ machine, service }) {
      const uid = (await machine.run(["id", "-u", user])).stdout.trim();
      const groups = (await machine.run(["id", "-G", user])).stdout.trim();
      const status = fields(await service.read("status"));
      assert.notEqual(uid, "0");
      assert.equal(status.get("Uid"), Array(4).fill(uid).join(" "));
      const numbers = (text: string) => text.split(" ").sort();
      assert.deepEqual(numbers(status.get("Groups")!), numbers(groups));
      return `uid ${uid}, groups ${groups}`;
    },
  },
  {
    name: "it has no capability, can get none, and is filtered by seccomp",
    async run({ service }) {
      const status = fields(await service.read("status"));
      const names = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"];
      for (const name of names) assert.equal(status.get(name), "0000000000000000", name);
      assert.equal(status.get("NoNewPrivs"), "1");
      assert.equal(status.get("Seccomp"), "2");
      return `${names.join(" = ")} = 0, NoNewPrivs 1, Seccomp 2`;
    },
  },
  {
    name: "it has no memory that is writable and executable",
    async run({ service }) {
      assert.equal(await service.property("MemoryDenyWriteExecute"), "yes");
      const maps = (await service.read("maps")).trim().split("\n");
      assert.deepEqual(maps.filter((line) => /^\S+ .wx/.test(line)), []);
      return `${maps.length} mappings`;
    },
  },
  {
    name: "no limit lets it dump its memory, which holds the key",
    async run({ service }) {
      const limits = await service.read("limits");
      assert.match(limits, /^Max core file size +0 +0 /m);
      const files = /^Max open files +(\d+) /m.exec(limits)?.[1];
      assert.ok(Number(files) >= 1024, limits);
      return `${files} open files, no core dump`;
    },
  },
  {
    name: "it can write to its state folder and to nothing else",
    async run({ machine, service }) {
      const mounts = mountsOf(await service.read("mountinfo"));
      assert.ok(mounts.some(({ at, flags }) => at === "/" && flags.has("ro")));
      const open = mounts.filter(({ flags }) => !flags.has("ro")).map(({ at }) => at);
      assert.deepEqual(open.filter((at) => !writable.test(at) && !code.test(at)), []);
      assert.ok(open.includes(stateFolder));
      const places = open.filter((at) => code.test(at));
      const search = ["find", ...places, "-not", "-type", "l", "-writable"];
      assert.equal((await asUser(machine, search)).stdout, "");
      // Root itself cannot, from where the service stands.
      const probe = machine.run(["touch", await service.process("root/etc/probe")]);
      await assert.rejects(probe, /Read-only file system/);
      return open.filter((at) => !/^\/(dev|proc)/.test(at)).join(" ");
    },
  },
  {
    name: "it can run its own executable and no other program",
    async run({ machine, service }) {
      const mounts = mountsOf(await service.read("mountinfo"));
      const open = mounts.filter(({ flags }) => !flags.has("noexec")).map(({ at }) => at);
      assert.deepEqual(open.filter((at) => !executable.test(at) && !code.test(at)), []);
      const there = ["nsenter", `--target=${await service.property("MainPID")}`, "--mount"];
      await assert.rejects(machine.run([...there, "true"]), /Permission denied/);
      return open.join(" ");
    },
  },
  {
    name: "no variable has the runtime write keys",
    async run({ service }) {
      const names = ["SSLKEYLOGFILE", "NODE_DEBUG"];
      const set = `Environment=SSLKEYLOGFILE=${stateFolder}/keys NODE_DEBUG=http,tls,net`;
      return await service.with([set], async () => {
        await service.start();
        const environment = (await service.read("environ")).split("\0");
        assert.deepEqual(environment.filter((it) => names.includes(it.split("=")[0]!)), []);
        return `without ${names.join(" and ")}`;
      });
    },
  },
];

/** Name → value of the lines of /proc/…/status. */
function fields(text: string): Map<string, string> {
  return new Map(
    text.trim().split("\n").map((line): [string, string] => {
      const [name = "", ...values] = line.trim().split(/:?\s+/);
      return [name, values.join(" ")];
    }),
  );
}

/** The mounts that count: one that another one covers can no longer be reached. */
function mountsOf(text: string): { at: string; flags: Set<string> }[] {
  const mounts = text.trim().split("\n").map((line) => {
    const [id, parent, , , at, flags] = line.split(" ");
    return { id, parent, at: at!, flags: new Set(flags!.split(",")) };
  });
  return mounts.filter(({ id, at }) =>
    !ofContainer.test(at) && !mounts.some((it) => it.parent === id && it.at === at)
  );
}
