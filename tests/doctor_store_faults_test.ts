import { DatabaseSync } from "node:sqlite";
import { applyAgain, lineOf, service, testFaults, withFlag } from "./doctor_fault.ts";
import { unitFile } from "./doctor_setup.ts";

testFaults([
  {
    name: "a damaged store",
    plant: ({ storePath }) => Deno.writeTextFile(storePath, "no database, ".repeat(100)),
    check: "store",
    state: "failed",
    saw: /Cannot read the store .*topology\.db: file is not a database/,
    mend: ({ storePath }) => `mv ${storePath} ${storePath}.damaged`,
    code: 3,
  },
  {
    name: "a store that was set aside",
    plant: ({ storePath }) => Deno.writeTextFile(`${storePath}.corrupt-20261122T190501Z`, ""),
    check: "store",
    state: "warning",
    saw: /the store was damaged and is set aside as/,
    mend: ({ storePath }) => `rm ${storePath}.corrupt-20261122T190501Z`,
    code: 1,
  },
  {
    name: "a recorded error",
    plant: (setup) =>
      setup.changeStore((store) =>
        store.recordError("11111111-2222-3333-4444-555555555555", "no space")
      ),
    check: "store",
    state: "warning",
    saw: /the last apply or teardown failed: no space/,
    mend: applyAgain,
    code: 1,
  },
  {
    name: "a store that others may read",
    plant: ({ storePath }) => Deno.chmod(storePath, 0o644),
    check: "store",
    state: "warning",
    saw: /others may read it/,
    mend: ({ storePath }) => `chmod go= ${storePath}`,
    code: 1,
  },
  {
    name: "a store of another user",
    plant: () => ({ files: { [unitFile]: "[Service]\nUser=decnet-agent\n" } }),
    check: "store",
    state: "warning",
    saw: /it belongs to root, and not to decnet-agent/,
    mend: ({ path }) => `chown -R decnet-agent: ${path}`,
    code: 3,
  },
  {
    name: "a crash that left half a change",
    plant: ({ storePath }) => Deno.writeTextFile(`${storePath}-journal`, "x"),
    check: "store",
    state: "warning",
    saw: /topology\.db-journal is what a crash left of a change/,
    mend: (setup) => lineOf(setup, "state"),
    code: 1,
  },
  {
    name: "a store in WAL mode",
    plant: ({ storePath }) => {
      using database = new DatabaseSync(storePath);
      database.exec("PRAGMA journal_mode = WAL");
    },
    check: "store",
    state: "warning",
    saw: /the file is in WAL mode/,
    mend: ({ storePath }) => `sqlite3 ${storePath} 'PRAGMA journal_mode = DELETE'`,
    code: 1,
  },
  {
    name: "a state folder that the agent may not write to",
    plant: async ({ path, engine }) => {
      await Deno.chmod(path, 0o755);
      await Deno.chmod(engine.socketPath, 0o666);
      return { uid: service };
    },
    check: "state-dir",
    state: "warning",
    saw: /owner root, group root, mode 0755; user decnet-agent may not write in it/,
    mend: ({ path }) => `chown -R decnet-agent: ${path}`,
    code: 3,
  },
  {
    name: "a state folder that is absent and cannot be made",
    plant: async (setup) => {
      await Deno.chmod(setup.path, 0o755);
      await Deno.chmod(setup.engine.socketPath, 0o666);
      return { uid: service, flags: withFlag(setup, "state-dir", `${setup.path}/none`) };
    },
    check: "state-dir",
    state: "failed",
    saw: /none does not exist, and user decnet-agent may not make it/,
    mend: ({ path }) => `install -d -o decnet-agent -m 700 ${path}/none`,
    code: 3,
  },
]);
