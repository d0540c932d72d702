import assert from "node:assert/strict";
import { requirement } from "../requirements.ts";
import { TopologyStore } from "../../store/mod.ts";
import { ListeningHost } from "./listening_host.ts";
import { type Ended, execute, Host } from "./host.ts";
import { RunningAgent } from "./running_agent.ts";
import { works } from "./works.ts";

/** One check in the JSON. */
interface Check {
  readonly name: string;
  readonly state: string;
  readonly saw: string;
  readonly mend?: string;
}

function checkOf({ stdout }: Ended, name: string): Check {
  const { checks } = JSON.parse(stdout) as { checks: Check[] };
  const check = checks.find((check) => check.name === name);
  assert.ok(check, stdout);
  return check;
}

/** All that is below a folder: names, contents, owners, modes, and when each was changed. */
function snapshot(folder: string): unknown[] {
  return [...Deno.readDirSync(folder)].flatMap(({ name }) => {
    const path = `${folder}/${name}`;
    const { isDirectory, isFile, mode, uid, mtime, ctime, ino } = Deno.lstatSync(path);
    const text = isFile ? Deno.readFileSync(path).toBase64() : "";
    const own = [path, mode, uid, mtime?.getTime(), ctime?.getTime(), ino, text];
    return isDirectory ? [own, ...snapshot(path)] : [own];
  });
}

/** Stores a topology. */
function fill(path: string): void {
  using store = TopologyStore.open(path);
  store.put("A", "h1", "{}");
}

const strace = requirement("strace", await works("strace", "-qq", "-o", "/dev/null", "true"));
const setpriv = requirement(
  "setpriv and root",
  await works("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "true"),
);
const asNobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];

Deno.test("decnet-agent doctor changes nothing, sends no beat, and asks the engine two questions", async () => {
  await using host = await Host.create();
  const engine = await host.startEngine();
  const { master } = await host.startMaster();
  fill(host.storePath);
  await Deno.writeTextFile(`${host.stateDirectory}/agent.lock`, "");
  const before = snapshot(host.folder);
  const ended = await execute(["doctor", "--json", ...host.flags(master)]);
  assert.deepEqual(snapshot(host.folder), before);
  assert.equal(ended.stderr, "");
  const { status, exit_code, checks } = JSON.parse(ended.stdout);
  assert.equal(exit_code, ended.code, ended.stdout);
  assert.equal(status, ["OK", "WARNING", "CRITICAL", "UNKNOWN"][ended.code]);
  assert.deepEqual(checks.filter(({ state }: Check) => state === "failed"), []);
  assert.equal(checkOf(ended, "master-tls").state, "ok");
  assert.equal(master.beatCount, 0);
  assert.equal(master.connectionCount, 1);
  const calls = engine.requests.map(({ method, path }) => `${method} ${path}`);
  assert.deepEqual(calls, ["GET /networks", "GET /containers/json?all=1&limit=500"]);
});

Deno.test({
  name: `decnet-agent doctor creates, removes, renames and locks no file${strace.suffix}`,
  ignore: strace.ignore,
  fn: async () => {
    strace.check();
    await using host = await Host.create();
    await host.startEngine();
    const { master } = await host.startMaster();
    fill(host.storePath);
    const log = await Deno.makeTempFile();
    try {
      const calls = "openat,mkdir,mkdirat,unlink,unlinkat,rename,renameat,renameat2,chmod,fchmod," +
        "fchmodat,chown,fchown,fchownat,flock,ftruncate,truncate,link,symlink,utimensat";
      const wrapper = ["strace", "-f", "-qq", "-o", log, "-e", `trace=${calls}`];
      const ended = await execute(["doctor", ...host.flags(master)], { wrapper });
      assert.match(ended.stdout, /^master-tls +ok/m);
      const lines = (await Deno.readTextFile(log)).split("\n");
      const opened = lines.filter((line) => line.includes("topology.db"));
      assert.ok(opened.length > 0);
      const changes = lines.filter((line) =>
        /O_CREAT|O_TRUNC|O_TMPFILE/.test(line) || (line !== "" && !line.includes("openat("))
      ).filter((line) => !/resumed|exited|SIG|\+\+\+|^\d+ +<\.\.\./.test(line));
      assert.deepEqual(changes, []);
    } finally {
      await Deno.remove(log);
    }
  },
});

Deno.test("decnet-agent doctor prints a line for each check, and a mend beneath what is wrong", async () => {
  await using host = await Host.create();
  const { code, stdout } = await execute(["doctor", ...host.flags(), "--interval=1s"]);
  assert.equal(code, 3);
  assert.match(stdout, /^runtime +ok +decnet-agent \d/m);
  assert.match(
    stdout,
    /^configuration +failed +interval: '1s' \(from --interval\) must be .*\n( +.*\n)* +→ start it without --interval/m,
  );
  assert.match(stdout, /^socket +failed +\S*docker\.sock: no such socket.*\n +→ /m);
  assert.match(stdout, /^engine +skipped +its socket cannot be used$/m);
  // Not a terminal: no colours.
  assert.ok(!stdout.includes("\x1b"));
});

Deno.test("decnet-agent doctor names the loop that holds the lock, and leaves it alone", async () => {
  await using host = await Host.create();
  const engine = await host.startEngine();
  await using agent = new RunningAgent(["--interval=1h", ...host.flags()]);
  await agent.until(() => engine.requestCount > 0);
  const path = `${host.stateDirectory}/agent.lock`;
  const text = await Deno.readTextFile(path);
  const ended = await execute(["doctor", "--json", ...host.flags()]);
  const { state, saw } = checkOf(ended, "lock");
  assert.ok(saw.startsWith(`${path} names process ${agent.pid} since 20`), saw);
  assert.equal(state, "ok");
  assert.equal(await Deno.readTextFile(path), text);
  const { code } = await agent.stop();
  assert.equal(code, 0);
});

Deno.test({
  name: `decnet-agent doctor names what its user may not use${setpriv.suffix}`,
  ignore: setpriv.ignore,
  fn: async () => {
    setpriv.check();
    await using host = await Host.create();
    await host.startEngine();
    const { master } = await host.startMaster();
    await Deno.mkdir(host.stateDirectory);
    await Deno.chmod(host.folder, 0o755);
    // The group 1 has a name on every Linux: daemon, or bin.
    await Deno.chown(host.socket, 0, 1);
    await Deno.chmod(host.socket, 0o660);
    const ended = await execute(["doctor", "--json", ...host.flags(master)], { wrapper: asNobody });
    assert.equal(ended.code, 3, ended.stderr);
    const name = (file: string, id: number) =>
      Deno.readTextFileSync(file).split("\n").map((line) => line.split(":"))
        .find((fields) => fields[2] === String(id))?.[0] ?? String(id);
    const [user, group] = [name("/etc/passwd", 65534), name("/etc/group", 1)];
    assert.equal(checkOf(ended, "socket").mend, `usermod -aG ${group} ${user}`);
    assert.equal(checkOf(ended, "engine").state, "skipped");
    assert.equal(checkOf(ended, "state-dir").mend, `chown -R ${user}: ${host.stateDirectory}`);
    const key = checkOf(ended, "certificates");
    assert.match(key.saw, /worker\.key: user \S+ may not read it/);
    assert.equal(key.mend, `chown -R ${user}: ${host.agentDirectory}`);
    assert.equal(checkOf(ended, "master-tls").state, "skipped");
  },
});

Deno.test("decnet-agent doctor knows its own API, of which nobody is told", async () => {
  await using listening = await ListeningHost.create();
  await listening.host.startEngine();
  await using agent = new RunningAgent(listening.flags);
  await agent.until(() => agent.stderr.includes("msg=listening"));
  const log = agent.stderr;
  const ended = await execute(["doctor", "--json", ...listening.flags]);
  const { state, saw } = checkOf(ended, "api");
  assert.equal(state, "ok", saw);
  assert.match(saw, /the agent listens on 127\.0\.0\.1:\d+, as IP Address:127\.0\.0\.1/);
  assert.equal((await listening.call("/health")).status, 200);
  assert.equal(agent.stderr.slice(log.length).replaceAll(/^level=info.*\n/gm, ""), "");
});
