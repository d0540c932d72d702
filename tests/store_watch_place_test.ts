import assert from "node:assert/strict";
import { StoreWatch } from "../agent/store_watch.ts";
import { requirement } from "./requirements.ts";
import { TemporaryFolder } from "./temporary_folder.ts";

const obstacles: [what: string, make: (path: string) => unknown][] = [
  ["a pipe", (path) => new Deno.Command("mkfifo", { args: [path] }).outputSync()],
  ["a link to the store", (path) => Deno.symlinkSync("topology.db", path)],
  ["a folder", (path) => Deno.mkdirSync(path)],
];

for (const [what, make] of obstacles) {
  Deno.test(`StoreWatch watches not ${what} in the lock's place, says so once, and goes on when it is gone`, () => {
    using folder = new TemporaryFolder();
    const [store, lock] = [`${folder.path}/topology.db`, `${folder.path}/apply.lock`];
    Deno.writeTextFileSync(store, "");
    make(lock);
    const [lines, told]: [string[], string[]] = [[], []];
    const watch = new StoreWatch(store, {
      log: (level, message) => lines.push(`${level} ${message}`),
      onChange: () => told.push("changed"),
    });
    try {
      watch.renew();
      watch.renew();
      assert.deepEqual([lines, told], [[
        `warn Cannot watch ${lock}: it is not a regular file; ` +
        "what others write to the store is told at the interval",
      ], []]);
      Deno.removeSync(lock);
      watch.renew();
      assert.deepEqual([lines.length, told.length], [1, 1]);
    } finally {
      watch.close();
    }
  });
}

/** File permissions have an effect on root only without these capabilities. */
const confined = Deno.uid() === 0
  ? ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
  : ["env"];

function run(...args: string[]): Deno.CommandOutput {
  const [command = "", ...rest] = [...confined, ...args];
  return new Deno.Command(command, { args: rest, env: { NO_COLOR: "1" } }).outputSync();
}

function canRun(): boolean {
  try {
    return run("true").success;
  } catch {
    return false;
  }
}

const user = requirement("setpriv, as root", canRun());

Deno.test({
  name: `StoreWatch tells whoever may not read the lock what to do about it${user.suffix}`,
  ignore: user.ignore,
  fn() {
    user.check();
    using folder = new TemporaryFolder();
    const lock = `${folder.path}/apply.lock`;
    Deno.writeTextFileSync(lock, "", { mode: 0o000 });
    const script = `
      import { StoreWatch } from "${import.meta.resolve("../agent/store_watch.ts")}";
      const log = (_level, message) => console.log(message);
      new StoreWatch(Deno.args[0], { log, onChange() {} }).renew();
      Deno.exit();
    `;
    const { stdout, stderr } = run(
      ...[Deno.execPath(), "eval", "--quiet", "--no-check", script, `${folder.path}/topology.db`],
    );
    assert.equal(
      new TextDecoder().decode(stdout),
      `Cannot watch ${lock}: Permission denied; ` +
        "see that the agent's user owns the file and its folder (chown -R); " +
        "what others write to the store is told at the interval\n",
      new TextDecoder().decode(stderr),
    );
  },
});

const root = requirement("root", Deno.uid() === 0);

Deno.test({
  name: `StoreWatch leaves nothing of root's in another user's folder${root.suffix}`,
  ignore: root.ignore,
  fn() {
    root.check();
    using folder = new TemporaryFolder();
    Deno.chownSync(folder.path, 65_534, 65_534);
    const watch = new StoreWatch(`${folder.path}/topology.db`, { log() {}, onChange() {} });
    watch.renew();
    watch.close();
    assert.deepEqual([...Deno.readDirSync(folder.path)], []);
    Deno.chownSync(folder.path, 0, 0);
    const own = new StoreWatch(`${folder.path}/topology.db`, { log() {}, onChange() {} });
    own.renew();
    own.close();
    assert.deepEqual([...Deno.readDirSync(folder.path)].map(({ name }) => name), ["apply.lock"]);
  },
});
