import assert from "node:assert/strict";
import { TopologyStore } from "../store/mod.ts";
import { requirement } from "./requirements.ts";
import type { StoreUse } from "./store_use.ts";
import { TemporaryFolder } from "./temporary_folder.ts";

/** A shell on which file permissions have an effect, which is root's only without these. */
const confined = [
  ...(Deno.uid() === 0 ? ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] : []),
  "sh",
];
/** A shell that may mount what nobody else sees, and which is gone with it. */
const mounting = ["unshare", "--mount", "sh"];

const needs = new Map([
  [confined, requirement("setpriv, as root", await works(confined))],
  [mounting, requirement("unshare and the right to use it", await works(mounting))],
]);

async function works([command = "", ...args]: string[]): Promise<boolean> {
  try {
    return (await new Deno.Command(command, { args: [...args, "-c", "true"] }).output()).success;
  } catch {
    return false;
  }
}

/** One way in which a host keeps the agent from its store. */
interface Surroundings {
  readonly what: string;
  readonly shell: string[];
  /** Shell commands that bring it about and end it; the folder is `$S`. */
  readonly begin: string;
  readonly end: string;
  /** How using the store goes meanwhile. */
  readonly use: StoreUse;
  /** There is no file yet, or a damaged one. */
  readonly file?: "absent" | "damaged";
}

const every = (current: string, change: string, setAside = "kept"): StoreUse => ({
  current,
  put: change,
  recordError: change,
  clear: change,
  setAside,
});
const everything = (message: string) => every(message, message, message);
const malformed = "database disk image is malformed";
const readOnly = "attempt to write a readonly database";
const erofs = "Read-only file system (os error 30)";
const full = "database or disk is full";
const remount = "mount --bind $S $S && mount -o remount,ro,bind $S $S";
const tmpfs =
  "cp $S/topology.db $S.db; mount -t tmpfs -o size=256k none $S; cp $S.db $S/topology.db";
const fill = "dd if=/dev/zero of=$S/fill bs=1k 2>&-";
const noFile = "it is not a regular file";

const rows: Surroundings[] = [
  {
    what: "a file that is read-only",
    shell: confined,
    begin: "chmod 400 $S/topology.db",
    end: "chmod 600 $S/topology.db",
    use: every("h1", readOnly),
  },
  {
    what: "a folder that is read-only",
    shell: confined,
    begin: "chmod 500 $S",
    end: "chmod 700 $S",
    use: every("h1", readOnly),
  },
  {
    what: "a file that may not be read",
    shell: confined,
    begin: "chmod 0 $S/topology.db",
    end: "chmod 600 $S/topology.db",
    use: everything("unable to open database file"),
  },
  {
    what: "a folder that may not be entered",
    shell: confined,
    begin: "chmod 0 $S",
    end: "chmod 700 $S",
    use: everything("Permission denied (os error 13)"),
  },
  {
    what: "a file system that is read-only",
    shell: mounting,
    begin: remount,
    end: "mount -o remount,rw,bind $S",
    use: every("h1", readOnly),
  },
  {
    what: "a file system that is read-only, and no file yet",
    shell: mounting,
    begin: remount,
    end: "mount -o remount,rw,bind $S",
    use: every("idle", erofs),
    file: "absent",
  },
  {
    what: "a file system that is read-only, and a damaged file",
    shell: mounting,
    begin: remount,
    end: "mount -o remount,rw,bind $S",
    use: every(
      malformed,
      malformed,
      `the store is damaged (${malformed}), and cannot be set aside: Read-only file system; remount it, so that ` +
        "the agent can write there",
    ),
    file: "damaged",
  },
  {
    what: "a disk that is full",
    shell: mounting,
    begin: `${tmpfs}; ${fill}`,
    end: "rm $S/fill",
    use: every("h1", full),
  },
  {
    what: "a disk that is full, and no file yet",
    shell: mounting,
    begin: `mount -t tmpfs -o size=256k none $S; ${fill}`,
    end: "rm $S/fill",
    use: { ...every("idle", full), clear: "done" },
    file: "absent",
  },
  {
    what: "a disk that is full, and a damaged file",
    shell: mounting,
    begin: `${tmpfs}; ${fill}`,
    end: "rm $S/fill",
    use: every(malformed, malformed, "set aside"),
    file: "damaged",
  },
  {
    what: "a folder in the file's place",
    shell: confined,
    begin: "mv $S/topology.db $S/away; mkdir $S/topology.db",
    end: "rmdir $S/topology.db; mv $S/away $S/topology.db",
    use: everything(noFile),
  },
  {
    what: "a pipe in the file's place",
    shell: confined,
    begin: "mv $S/topology.db $S/away; mkfifo -m 600 $S/topology.db",
    end: "mv $S/away $S/topology.db",
    use: everything(noFile),
  },
  {
    what: "a link to itself in the file's place",
    shell: confined,
    begin: "mv $S/topology.db $S/away; ln -s topology.db $S/topology.db",
    end: "mv $S/away $S/topology.db",
    use: everything(noFile),
  },
];

/** What a program of the tests printed, a line of JSON each, which ran where the row has its effect. */
async function runIn(
  { shell: [command = "", ...args] }: Surroundings,
  { folder, script, program }: { folder: string; script: string; program: string[] },
) {
  const [name = "", ...more] = program;
  const { success, stdout, stderr } = await new Deno.Command(command, {
    args: [
      ...args,
      "-c",
      script,
      "sh",
      ...[Deno.execPath(), "run", "-q", "--no-check", "-A", import.meta.resolve(name)],
      `${folder}/topology.db`,
      ...more,
    ],
    env: { S: folder, NO_COLOR: "1" },
  }).output();
  assert.ok(success, new TextDecoder().decode(stderr));
  // The system's errors name the call and the path, some of them, and SQLite's the path.
  const text = new TextDecoder().decode(stdout)
    .replaceAll(/: \w+ '\/[^']*'( -> '[^']*')?/g, "").replaceAll(/: \/[^";]*/g, "");
  return text.trim().split("\n").map((line) => JSON.parse(line));
}

for (const row of rows) {
  const { ignore, suffix, check } = needs.get(row.shell)!;
  Deno.test({
    name: `TopologyStore meets ${row.what}, and works when that is mended${suffix}`,
    ignore,
    async fn() {
      check();
      using folder = new TemporaryFolder();
      const path = `${folder.path}/state/topology.db`;
      if (row.file === "absent") Deno.mkdirSync(`${folder.path}/state`);
      else {
        using store = TopologyStore.open(path);
        store.put("A", "h1", "{}");
      }
      if (row.file === "damaged") Deno.truncateSync(path, 5_000);
      const [meanwhile, afterwards] = await runIn(row, {
        folder: `${folder.path}/state`,
        script: `${row.begin}\n"$@"\n${row.end}\n"$@"`,
        program: ["./store_user.ts"],
      });
      assert.deepEqual(meanwhile, row.use);
      // What is damaged is used before it is set aside, and so works from the next time on.
      if (row.file === "damaged" && meanwhile.setAside !== "set aside") {
        assert.equal(afterwards.setAside, "set aside");
      } else assert.deepEqual(afterwards, every(row.file ? "idle" : "h1", "done"));
    },
  });

  const isReadable = ["h1", "idle", malformed].includes(row.use.current);
  Deno.test({
    name: `a running agent ${
      isReadable ? "goes on in memory" : "applies nothing"
    } with ${row.what}, and uses the store when that is mended${suffix}`,
    ignore,
    async fn() {
      check();
      using folder = new TemporaryFolder();
      const spoil = { absent: "rm $S/*; ", damaged: "truncate -s 5000 $S/topology.db; ", none: "" };
      const [before, meanwhile, afterwards] = await runIn(row, {
        folder: `${folder.path}/state`,
        script: '"$@"',
        program: ["./store_lasting_user.ts", spoil[row.file ?? "none"] + row.begin, row.end],
      });
      const { apply, ...told } = meanwhile;
      if (!isReadable) {
        assert.deepEqual(told, before);
        assert.equal(told.state, "unreadable");
        assert.equal(apply, told.detail.replace("read", "use"));
        assert.deepEqual(afterwards, { state: "ok", applied: "1" });
        return;
      }
      const [state, applied] = row.file ? ["idle", null] : ["ok", "1"];
      assert.deepEqual([before.state, before.applied], [state, applied]);
      assert.deepEqual([apply, told.state, told.applied], ["done", "ok", "2"]);
      assert.match(
        told.detail,
        /(cannot be written|cannot be set aside): .*; .*; what is applied is kept in memory only/,
      );
      assert.deepEqual([afterwards.state, afterwards.applied], ["ok", "2"]);
      if (row.file === "damaged") assert.match(afterwards.detail, /^the store was damaged and is/);
      else assert.equal(afterwards.detail, undefined);
    },
  });
}
