import assert from "node:assert/strict";
import { eventFilters } from "../docker/events.ts";
import { FakeEngine } from "../tests/support/engine/fake_engine.ts";
import { container, network } from "../tests/support/engine/state.ts";
import {
  applies,
  assertReadable,
  assertSequence,
  interruptDemo,
  masterFails,
  noDrift,
  runDemo,
  tearsDown,
} from "./demo/running_demo.ts";

Deno.test("demo tells how a topology comes, is mended, and goes", async () => {
  const { code, stdout, stderr } = await runDemo([]);
  assert.equal(code, 0, stderr);
  assertReadable(stdout);
  assertSequence(stdout, [
    /^1\. .*$/m,
    ...applies(noDrift),
    /^5\. .*$/m,
    /topology {4}7c9e6679-7425-40de-944b-e07fc1f90ae7, version 88dc64f63e29/,
    /error {7}Cannot observe Docker/,
    /drift {7}unknown: /,
    /agent {3}level=warn msg="Cannot observe Docker/,
    /host {4}the engine runs again/,
    /drift {7}none/,
    /^6\. .*$/m,
    ...masterFails,
    /agent {3}\[1\/1\] start container decnet_t_7c9e6679_decky-004-http\n/,
    /drift {7}none/,
    /^7\. .*$/m,
    /agent {3}DECNET OK - topology 7c9e6679-/,
    /exit code {3}0/,
    /master {2}received beat \d+/,
    /^8\. .*$/m,
    ...tearsDown(noDrift),
  ]);
});

Deno.test("demo --docker listens to the engine, looks at it with two GETs a beat, and does nothing else", async () => {
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
    const events = `GET /events?filters=${encodeURIComponent(eventFilters)}`;
    assert.deepEqual(
      calls,
      new Set([events, "GET /networks", "GET /containers/json?all=1&limit=500"]),
    );
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("demo --docker fails when no engine answers", async () => {
  const nowhere = { DOCKER_HOST: "unix:///nowhere/docker.sock" };
  const { code, stdout, stderr } = await runDemo(["--docker"], nowhere);
  assert.equal(code, 1);
  assert.match(stdout, /error {7}Cannot observe Docker at \/nowhere\/docker\.sock/);
  assert.match(stderr, /no engine answers here/);
  const applying = await runDemo(["--docker", "--apply"], nowhere);
  assert.equal(applying.code, 1);
  assert.match(applying.stderr, /^demo: .*\/nowhere\/docker\.sock/m);
});

Deno.test("demo --web shows the page of a master with hosts that go wrong, and leaves nothing", async () => {
  const { code, stdout, stderr } = await runDemo(["--web", "--seconds=6"]);
  assert.equal(code, 0, stderr);
  assertReadable(stdout);
  assertSequence(stdout, [
    /master {2}has pushed a topology to each host; its page is http:\/\/127\.0\.0\.1:\d+\/\n/,
    /host {4}on lab-2 a container dies/,
    /host {4}on lab-3 the engine stops/,
    /agent {3}on lab-4 stops/,
    /^Done in /m,
  ]);
  const interrupted = await interruptDemo("SIGINT", "its page is", { args: ["--web"] });
  assert.equal(interrupted.code, 130, interrupted.stderr);
  assert.match(interrupted.stderr, /demo: interrupted/);
});

Deno.test("demo explains its usage", async () => {
  const cases = [
    [["--help"], 0, "stdout", /^usage/],
    [["--dokcer"], 2, "stderr", /^demo: '--dokcer' is not known here\n/],
    [["--docker", "x"], 2, "stderr", /^demo: 'x' is not known here\n/],
    [["--web", "--seconds=0"], 2, "stderr", /^demo: with --web goes nothing but --seconds=N/],
    [["--apply"], 2, "stderr", /^demo: --apply goes with --docker; /],
  ] as const;
  for (const [args, code, stream, pattern] of cases) {
    const result = await runDemo(args);
    assert.equal(result.code, code, args.join(" "));
    assert.match(result[stream], pattern);
    assert.match(result[stream], /usage: deno task demo \[--docker \[--apply\]\] \| \[--web /);
  }
});

for (const [signal, code] of [["SIGINT", 130], ["SIGTERM", 143], ["SIGHUP", 129]] as const) {
  Deno.test(`demo leaves nothing behind at ${signal}`, async () => {
    // By then there is all that it could leave behind.
    const ended = await interruptDemo(signal, "2. ");
    assert.equal(ended.code, code, ended.stdout);
    assert.match(ended.stderr, /demo: interrupted/);
  });
}
