import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { checks as allChecks } from "../../doctor/doctor.ts";
import { TopologyStore } from "../../store/topology_store.ts";
import { listenPlainTcp } from "../support/environment.ts";
import {
  binary,
  type Ended,
  execute,
  Host,
  ListeningHost,
  RunningAgent,
} from "../support/executable.ts";
import { requirement, works } from "../support/requirements.ts";

/** One check in the JSON. */
interface Check {
  readonly name: string;
  readonly state: string;
  readonly details: string;
  readonly fix?: string;
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
const asNobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
const setpriv = requirement(
  "setpriv and root",
  await works("setpriv", ...asNobody.slice(1), "true"),
);

Deno.test("decnet-agent doctor changes nothing, and sends no heartbeat", async () => {
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
  const { state, details } = checkOf(ended, "master");
  assert.equal(state, "ok");
  // It may not be on the PATH.
  assert.ok(details.includes(`: ${binary} --once --`), details);
  assert.equal(master.heartbeatCount, 0);
  assert.equal(master.connectionCount, 1);
  const calls = engine.requests.map(({ method, path }) => `${method} ${path.split("?")[0]}`);
  assert.deepEqual(calls, ["GET /networks", "GET /containers/json", "GET /containers/json"]);
});

strace.test("decnet-agent doctor creates, removes, renames and locks no file", async () => {
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
    assert.match(ended.stdout, /^master +ok/m);
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
});

setpriv.test("decnet-agent doctor names what its user may not use", async () => {
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
  assert.equal(checkOf(ended, "socket").fix, `add user ${user} to group ${group} (usermod -aG)`);
  assert.equal(checkOf(ended, "engine").state, "skipped");
  assert.equal(
    checkOf(ended, "state-dir").fix,
    `make ${user} the owner of ${host.stateDirectory} and of everything in it (chown -R)`,
  );
  const key = checkOf(ended, "certificates");
  assert.match(key.details, /worker\.key: user \S+ cannot read it/);
  const file = `${host.agentDirectory}/worker.key`;
  assert.equal(key.fix, `make ${user} its owner: chown ${user} ${file} && chmod 0600 ${file}`);
  await Deno.chmod(host.agentDirectory, 0o700);
  await Deno.chown(host.stateDirectory, 65534, 65534);
  const closed = await execute(["doctor", "--json", ...host.flags(master)], { wrapper: asNobody });
  const folder = checkOf(closed, "certificates");
  assert.match(folder.details, /^user \S+ cannot enter .*mode 0700$/s);
  assert.match(checkOf(closed, "store").details, /does not exist: nothing was applied/);
  assert.equal(folder.fix, `let users enter it: chmod a+x ${host.agentDirectory}`);
  assert.equal(checkOf(ended, "master").state, "skipped");
});

Deno.test("decnet-agent doctor recognises its own API", async () => {
  await using listening = await ListeningHost.create();
  await listening.host.startEngine();
  await using agent = new RunningAgent(listening.flags);
  await agent.until(() => agent.stderr.includes("msg=listening"));
  const log = agent.stderr;
  const ended = await execute(["doctor", "--json", ...listening.flags]);
  const { state, details } = checkOf(ended, "api");
  assert.equal(state, "ok", details);
  assert.match(details, /the agent listens on 127\.0\.0\.1:\d+, as IP Address:127\.0\.0\.1/);
  assert.equal((await listening.call("/health")).status, 200);
  assert.equal(agent.stderr.slice(log.length).replaceAll(/^time=\S+ level=info.*\n/gm, ""), "");
});

const namespaces = requirement(
  "unshare and the right to mount",
  await works("unshare", "--mount", "true"),
);

/** From start to end, whatever hangs. */
const longestMs = 15_000;

Deno.test("decnet-agent doctor ends in time when engine, store and master hang", async () => {
  await using host = await Host.create();
  const engine = await host.startEngine();
  engine.fault = { kind: "hang" };
  const { master } = await host.startMaster();
  using store = TopologyStore.open(host.storePath);
  store.put("A", "h1", "{}");
  using other = new DatabaseSync(host.storePath);
  other.exec("BEGIN EXCLUSIVE");
  using silent = listenPlainTcp();
  const flags = host.flags(master).map((flag) =>
    flag.startsWith("--swarmctl-port=") ? `--swarmctl-port=${silent.port}` : flag
  );
  const ended = await execute(["doctor", "--json", ...flags, `--listen=127.0.0.1:${silent.port}`]);
  assert.ok(ended.elapsedMs < longestMs, `${ended.elapsedMs} ms`);
  assert.equal(ended.code, 3, ended.stdout);
  const { checks } = JSON.parse(ended.stdout) as { checks: Check[] };
  const details = (name: string) => checkOf(ended, name).details;
  assert.match(details("engine"), /no answer within 5 s/);
  assert.match(details("store"), /database is locked/);
  assert.match(details("master"), /no answer within 3 s/);
  assert.match(details("api"), /another program listens there/);
  assert.deepEqual(checks.map(({ name }) => name), allChecks.map(({ name }) => name));
});

namespaces.test("decnet-agent doctor ends in time when the name server is silent", async () => {
  await using host = await Host.create();
  await host.startEngine();
  const { master } = await host.startMaster();
  const address = { hostname: "127.13.7.54", port: 53, transport: "udp" } as const;
  using silent = new DisposableStack();
  silent.adopt(Deno.listenDatagram(address), (socket) => socket.close());
  const resolver = `${host.folder}/resolv.conf`;
  await Deno.writeTextFile(resolver, `nameserver ${address.hostname}\noptions timeout:30\n`);
  const mount = `mount --bind ${resolver} /etc/resolv.conf && exec "$0" "$@"`;
  const ended = await execute(
    ["doctor", ...host.flags(master), "--master-host=master.example"],
    { wrapper: ["unshare", "--mount", "sh", "-c", mount] },
  );
  assert.ok(ended.elapsedMs < longestMs, `${ended.elapsedMs} ms`);
  assert.equal(ended.code, 2, ended.stdout + ended.stderr);
  const said =
    /^master +failed +Cannot reach the master at master\.example:\d+: the name servers have not answered within 3 s\n/m;
  assert.match(ended.stdout, said);
  assert.match(ended.stdout, /→ correct master-host, or the name servers of this host/);
});
