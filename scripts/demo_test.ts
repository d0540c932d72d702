import assert from "node:assert/strict";
import { container, FakeEngine, network } from "../tests/engine/mod.ts";
import { requirement } from "../tests/requirements.ts";

const root = new URL("..", import.meta.url);

/** Starts the demo with a folder for temporary files of its own. */
function start(temporary: string, args: readonly string[], env: Record<string, string> = {}) {
  return new Deno.Command(Deno.execPath(), {
    args: ["task", "--quiet", "demo", ...args],
    cwd: root,
    // An empty variable counts as unset.
    env: { DOCKER_HOST: "", NO_COLOR: "1", ...env, TMPDIR: temporary },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

/** Runs the demo to its end, and sees that it leaves nothing behind. */
async function runDemo(args: readonly string[], env: Record<string, string> = {}) {
  const temporary = await Deno.makeTempDir();
  try {
    const { code, stdout, stderr } = await start(temporary, args, env).output();
    assert.deepEqual([...Deno.readDirSync(temporary)], []);
    const decoder = new TextDecoder();
    return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
  } finally {
    await Deno.remove(temporary, { recursive: true });
  }
}

/** Asserts that each pattern is found behind the one before. */
function assertSequence(text: string, patterns: readonly RegExp[]): void {
  let rest = text;
  for (const pattern of patterns) {
    const found = pattern.exec(rest);
    assert.ok(found, `${pattern} is missing in its place:\n${text}`);
    rest = rest.slice(found.index + found[0].length);
  }
}

function assertReadable(text: string): void {
  const lines = text.split("\n");
  assert.deepEqual(lines.filter((line) => line.length > 100 || line !== line.trimEnd()), []);
  // deno-lint-ignore no-control-regex
  assert.doesNotMatch(text, /[\x00-\x09\x0b-\x1f]|undefined|null|\[object/);
}

const masterFails = [
  /master {2}is gone/,
  /agent {3}level=warn msg="Cannot reach the master/,
  /master {2}is back/,
  /master {2}received beat \d+ from demo-host, \d+\.\d s after the one that failed/,
  /agent {3}level=info msg="the master accepts beats again"/,
];

Deno.test("demo tells what becomes of a container, the engine and the master", async () => {
  const { code, stdout, stderr } = await runDemo([]);
  assert.equal(code, 0, stderr);
  assertReadable(stdout);
  assertSequence(stdout, [
    /^1\. .*$/m,
    /host {4}runs 4 decoys in 9 containers on 3 networks/,
    /master {2}received beat 1 from demo-host\n/,
    /topology {4}7c9e6679-7425-40de-944b-e07fc1f90ae7, version 88dc64f63e29/,
    /networks {4}3: decnet_t_7c9e6679_lan-\{00, 01, 02\}/,
    /containers {2}9: decnet_t_7c9e6679_decky-\{001, 001-ssh, /,
    /drift {7}none/,
    /^2\. .*$/m,
    /host {4}container decnet_t_7c9e6679_decky-004-http exits/,
    /running {5}3 networks, 8 containers/,
    /drift {7}stopped decnet_t_7c9e6679_decky-004-http \(exited\)/,
    /agent {3}level=warn .*subject=drift/,
    /^3\. .*$/m,
    /running {5}3 networks, 9 containers/,
    /drift {7}none/,
    /^4\. .*$/m,
    /topology {4}7c9e6679-7425-40de-944b-e07fc1f90ae7/,
    /error {7}Cannot observe Docker/,
    /drift {7}unknown: /,
    /agent {3}level=warn msg="Cannot observe Docker/,
    /host {4}the engine runs again/,
    /drift {7}none/,
    /^5\. .*$/m,
    ...masterFails,
    /^6\. .*$/m,
    /agent {3}DECNET OK - topology 7c9e6679-/,
    /exit code {3}0/,
    /master {2}received beat \d+/,
    /^Done in /m,
  ]);
});

Deno.test("demo --docker looks at the engine with two GETs a beat, and does nothing else", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const socket = `${folder}/docker.sock`;
    await using engine = await FakeEngine.start(socket);
    engine.networks = [network({ name: "bridge" }), network({ name: "decnet_t_x_lan" })];
    engine.containers = [container({ name: "decnet-\x1b[2J" }), container({ name: "other" })];
    const { code, stdout, stderr } = await runDemo(["--docker"], {
      DOCKER_HOST: `unix://${socket}`,
    });
    assert.equal(code, 0, stderr);
    assertReadable(stdout);
    assertSequence(stdout, [
      /networks {4}1: decnet_t_x_lan\n/,
      /containers {2}1: decnet- \[2J\n/,
      /drift {7}unexpected /,
      /host {4}engine 20\.10\.24, API 1\.41, has answered on/,
      ...masterFails,
      /agent {3}DECNET WARNING - /,
      /exit code {3}1/,
    ]);
    const calls = new Set(engine.requests.map(({ method, path }) => `${method} ${path}`));
    assert.deepEqual([...calls], ["GET /networks", "GET /containers/json?all=1"]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

const docker = requirement("a Docker engine", await answers("/var/run/docker.sock"));

Deno.test(`demo --docker sees the host's own engine${docker.suffix}`, docker, async () => {
  docker.check();
  const { code, stdout, stderr } = await runDemo(["--docker"]);
  assert.equal(code, 0, stderr);
  assertReadable(stdout);
  assertSequence(stdout, [
    /master {2}received beat 1 from demo-host\n/,
    /networks {4}(?:none|[1-9])/,
    /containers {2}(?:none|[1-9])/,
    /host {4}engine \S+, API 1\.\d+, has answered on \/var\/run\/docker\.sock/,
    ...masterFails,
    /agent {3}DECNET (?:OK|WARNING) - /,
  ]);
});

Deno.test("demo --docker fails when no engine answers", async () => {
  const { code, stdout, stderr } = await runDemo(["--docker"], {
    DOCKER_HOST: "unix:///nowhere/docker.sock",
  });
  assert.equal(code, 1);
  assert.match(stdout, /error {7}Cannot observe Docker at \/nowhere\/docker\.sock/);
  assert.match(stderr, /no engine answers here/);
});

Deno.test("demo explains its usage", async () => {
  const cases = [
    [["--help"], 0, "stdout"],
    [["--dokcer"], 2, "stderr"],
    [["--docker", "x"], 2, "stderr"],
  ] as const;
  for (const [args, code, stream] of cases) {
    const result = await runDemo(args);
    assert.equal(result.code, code, args.join(" "));
    assert.match(result[stream], /usage: deno task demo \[--docker\]/);
  }
});

for (const [signal, code] of [["SIGINT", 130], ["SIGTERM", 143], ["SIGHUP", 129]] as const) {
  Deno.test(`demo leaves nothing behind at ${signal}`, async () => {
    const temporary = await Deno.makeTempDir();
    try {
      const child = start(temporary, []);
      const stderr = new Response(child.stderr).text();
      let seen = "";
      for await (const part of child.stdout.pipeThrough(new TextDecoderStream())) {
        // By then there is all that it could leave behind.
        if (!seen.includes("2. ") && (seen + part).includes("2. ")) child.kill(signal);
        seen += part;
      }
      assert.equal((await child.status).code, code, seen);
      assert.match(await stderr, /demo: interrupted/);
      assert.deepEqual([...Deno.readDirSync(temporary)], []);
    } finally {
      await Deno.remove(temporary, { recursive: true });
    }
  });
}

async function answers(socket: string): Promise<boolean> {
  try {
    (await Deno.connect({ transport: "unix", path: socket })).close();
    return true;
  } catch {
    return false;
  }
}
