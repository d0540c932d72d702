import assert from "node:assert/strict";
import Docker from "dockerode";
import { docker as engine, dockerSocket } from "../tests/engines/engines.ts";
import { TemporaryFolder, until } from "../tests/support/environment.ts";

interface DemoOptions {
  readonly env?: Record<string, string>;
  /** Sends a signal once a text was printed and, with `when`, something else holds. */
  readonly interrupt?: {
    readonly signal: Deno.Signal;
    readonly mark: string;
    readonly when?: (stdout: string) => Promise<unknown>;
  };
}

/** Runs the demo to its end, and checks that it leaves no file behind. */
async function runDemo(args: readonly string[], { env = {}, interrupt }: DemoOptions = {}) {
  using temporary = new TemporaryFolder();
  const child = new Deno.Command(Deno.execPath(), {
    args: ["task", "--quiet", "demo", ...args],
    cwd: new URL("..", import.meta.url),
    // An empty variable counts as unset.
    env: { DOCKER_HOST: "", ...env, TMPDIR: temporary.path },
    ...{ stdin: "null", stdout: "piped", stderr: "piped" },
  }).spawn();
  const stderr = new Response(child.stderr).text();
  let stdout = "";
  for await (const part of child.stdout.pipeThrough(new TextDecoderStream())) {
    const isMarked = interrupt && !stdout.includes(interrupt.mark);
    stdout += part;
    if (!isMarked || !stdout.includes(interrupt.mark)) continue;
    await interrupt.when?.(stdout);
    child.kill(interrupt.signal);
  }
  const { code } = await child.status;
  assert.deepEqual([...Deno.readDirSync(temporary.path)], []);
  assert.deepEqual(stdout.split("\n").filter((line) => line.length > 100), []);
  // deno-lint-ignore no-control-regex
  assert.doesNotMatch(stdout, /[\x00-\x09\x0b-\x1f]|undefined|\[object/);
  return { code, stdout, stderr: await stderr };
}

function assertSequence(text: string, patterns: readonly RegExp[]): void {
  let rest = text;
  for (const pattern of patterns) {
    const found = pattern.exec(rest);
    assert.ok(found, `${pattern} is missing in its place:\n${text}`);
    rest = rest.slice(found.index + found[0].length);
  }
}

const applies = [
  /master {2}received heartbeat 1\n\s+topology: none\n/,
  /^The master pushes a topology/m,
  /agent {3}level=info msg="topology applied" .*\n?.*changes=12\n/,
  /topology: [-\w]+, version \w{12}…\n[^:]+: 3: [^:]+: 9\n/,
  /├─ lan-00 {2}\d+\.\d+\.0\.0\/24 {2}DMZ\n/,
  /└─ decky-003 {2}\d+\.\d+\.2\.3\n/,
  /^exit code [01]$/m,
  /decky-004-http dies, and somebody removes\s+\S+_decky-002-http\n/,
  /drift: missing \S+_decky-002-http; stopped\s+\S+_decky-004-http \(exited\)/,
  /master {2}pushes topology 'three-lans'/,
  /changes=2\n/,
  /host {4}has one new container; nothing else was touched\n/,
  /master {2}pushes topology 'three-lans'/,
];
const masterFails = [
  /master {2}has stopped/,
  /agent {3}level=error msg="Cannot reach the master/,
  /master {2}runs again/,
  /master {2}received heartbeat \d+\n/,
];
const tearsDown = [
  /a neighbour's agent asks for a teardown with its own certificate\n/,
  /agent {3}403 \{/,
  /master {2}pushes a second topology\n/,
  /agent {3}409 \{"detail":"agent already has topology/,
  /master {2}asks for the teardown of /,
  /changes=12\n/,
  /topology: none\n/,
  /^Done; /m,
];

Deno.test("demo applies, repairs and removes a topology", async () => {
  const { code, stdout, stderr } = await runDemo([]);
  assert.equal(code, 0, stderr);
  assertSequence(stdout, [
    ...applies,
    /host {4}the engine has stopped/,
    /error: Cannot observe Docker/,
    /host {4}the engine runs again/,
    /drift: none/,
    ...masterFails,
    /^DECNET OK - topology 7c9e6679-/m,
    /^exit code 0$/m,
    ...tearsDown,
  ]);
});

Deno.test("demo --apply fails when no engine answers", async () => {
  const env = { DOCKER_HOST: "unix:///nowhere/docker.sock" };
  const { code, stderr } = await runDemo(["--apply"], { env });
  assert.equal(code, 1);
  assert.match(stderr, /^demo: .*\/nowhere\/docker\.sock/m);
});

Deno.test("demo explains its usage", async () => {
  const help = await runDemo(["--help"]);
  assert.equal(help.code, 0);
  assert.match(help.stdout, /^usage: deno task demo /);
  for (const line of ["--aply", "--apply x"]) {
    const { code, stderr } = await runDemo(line.split(" "));
    assert.equal(code, 2, line);
    assert.ok(stderr.startsWith(`demo: cannot understand '${line}'\n\nusage: `), stderr);
  }
});

for (const [signal, code] of [["SIGINT", 130], ["SIGTERM", 143], ["SIGHUP", 129]] as const) {
  Deno.test(`demo leaves nothing behind at ${signal}`, async () => {
    const interrupt = { signal, mark: "The master pushes" };
    const ended = await runDemo([], { interrupt });
    assert.equal(ended.code, code, ended.stdout);
    assert.match(ended.stderr, /^demo: interrupted$/m);
  });
}

const docker = engine.requirement;
const ownEngine = { DOCKER_HOST: `unix://${dockerSocket}` };

/** Lists what the engine has of the run of the demo that printed this. */
async function listOwn(stdout: string): Promise<object[]> {
  const [, tag = ""] = /the demo\s+makes\s+decnet_t_(\w{8})_/.exec(stdout) ?? [];
  assert.notEqual(tag, "", stdout);
  const engine = new Docker({ socketPath: dockerSocket });
  const lists: object[][] = await Promise.all([
    engine.listImages({ all: true }),
    engine.listNetworks(),
    engine.listContainers({ all: true }),
  ]);
  return lists.flat().filter((it) => JSON.stringify(it).includes(tag));
}

docker.test("demo --apply leaves the engine as it was", async () => {
  const { code, stdout, stderr } = await runDemo(["--apply"], { env: ownEngine });
  assert.equal(code, 0, stderr);
  assertSequence(stdout, [...applies, ...tearsDown]);
  assert.deepEqual(await listOwn(stdout), []);
});

for (const [signal, code] of [["SIGINT", 130], ["SIGTERM", 143]] as const) {
  docker.test(`demo --apply leaves nothing behind at ${signal}`, async () => {
    const isUnderWay = async (stdout: string) => (await listOwn(stdout)).length > 5;
    const when = (stdout: string) => until(() => isUnderWay(stdout));
    const interrupt = { signal, mark: "pushes topology", when };
    const ended = await runDemo(["--apply"], { env: ownEngine, interrupt });
    assert.equal(ended.code, code, ended.stderr);
    assert.doesNotMatch(ended.stdout, /^Something breaks/m);
    assert.deepEqual(await listOwn(ended.stdout), []);
  });
}
