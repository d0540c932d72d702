import assert from "node:assert/strict";
import { container } from "../support/engine/state.ts";
import { until } from "../support/environment.ts";
import { binary, Host } from "../support/executable.ts";
import { python } from "../support/requirements.ts";

/**
 * Runs a program whose standard output is a non-blocking pipe, as parents with an event loop hand on, and
 * prints what came as JSON. The first argument says what the parent does: `reads` slowly, reads a long
 * `line` and then ends the program, `ignores` a full pipe, or ignores it for both streams of a `service`,
 * which it ends when its own input ends.
 */
const parent = `
import fcntl, json, os, subprocess, sys, time
mode, command = sys.argv[1], sys.argv[2:]
reader, writer = os.pipe()
fcntl.fcntl(writer, fcntl.F_SETFL, fcntl.fcntl(writer, fcntl.F_GETFL) | os.O_NONBLOCK)
filled = 0
try:
  while mode in ("ignores", "service"): filled += os.write(writer, b"x" * 4096)
except BlockingIOError: pass
started = time.monotonic()
stderr = writer if mode == "service" else subprocess.PIPE
child = subprocess.Popen(command, stdout=writer, stderr=stderr)
os.close(writer)
text = b""
while mode in ("reads", "line"):
  time.sleep(0.02)
  part = os.read(reader, 65536)
  if not part: break
  text += part
  if mode == "line" and b"\\n" in text[65536:]: child.terminate()
if mode == "service":
  sys.stdin.read()
  child.terminate()
said = b"" if mode == "service" else child.stderr.read()
code = child.wait()
print(json.dumps({"code": code, "stdout": text.decode(), "stderr": said.decode(),
  "seconds": time.monotonic() - started}))
`;

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly seconds: number;
}

/** Runs the executable below such a parent; `ready` ends a service. */
async function runBelow(
  mode: "reads" | "line" | "ignores" | "service",
  args: readonly string[],
  ready: () => Promise<unknown> = () => Promise.resolve(),
): Promise<Ended> {
  const process = new Deno.Command("python3", {
    args: ["-c", parent, mode, binary, ...args],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  try {
    await ready();
  } finally {
    await process.stdin.close();
  }
  return JSON.parse(new TextDecoder().decode((await process.output()).stdout));
}

const lost = "decnet-agent: Cannot write to standard output: its reader has stopped reading\n";

/** A document whose plan is larger than a pipe. */
const large = JSON.stringify({
  topology: { id: "b16b16b1-0000-4000-8000-000000000001" },
  lans: [{ name: "dmz", subnet: "198.18.0.0/16", is_dmz: true }],
  deckies: Array.from({ length: 200 }, (_, index) => ({
    name: `d${index}`,
    services: [],
    decky_config: { ips_by_lan: { dmz: `198.18.1.${index + 2}` } },
  })),
});

python.test("R14 decnet-agent waits for the reader of a non-blocking pipe", async () => {
  await using host = await Host.create();
  const engine = await host.startEngine();
  engine.images = ["debian:bookworm-slim"];
  const file = `${host.folder}/document.json`;
  await Deno.writeTextFile(file, large);
  const ended = await runBelow("reads", ["apply", file, "--dry-run", "--json", ...host.flags()]);
  assert.deepEqual([ended.code, ended.stderr], [0, ""]);
  assert.ok(ended.stdout.length > 100_000);
  assert.equal(JSON.parse(ended.stdout).containers.length, 200);
});

python.test("R14 decnet-agent says why it ends when its output is not read", async () => {
  await using host = await Host.create();
  await host.startEngine();
  const ignore = (...args: string[]) => runBelow("ignores", [...args, ...host.flags()]);
  const { code, stderr, seconds } = await ignore("--once");
  assert.deepEqual([code, stderr], [3, lost]);
  assert.ok(seconds < 10, String(seconds));
  const all = await Promise.all([
    ignore("state", "--json"),
    ignore("--help"),
    ignore("print", "man"),
  ]);
  assert.deepEqual(all.map(({ code }) => code), [3, 3, 3]);
  assert.deepEqual(all.map(({ stderr }) => stderr), [lost, lost, lost]);
});

python.test("R14 decnet-agent as a service prints a long line whole", async () => {
  await using host = await Host.create();
  const engine = await host.startEngine();
  engine.containers = Array.from(
    { length: 1_500 },
    (_, index) => container({ name: `decnet-${"x".repeat(50)}-${index}` }),
  );
  const ended = await runBelow("line", ["--interval=5s", ...host.flags()]);
  assert.equal(ended.code, 0);
  const { topology } = JSON.parse(ended.stdout.split("\n")[0]!);
  assert.equal(topology.observed.containers.length, 1_500);
});

python.test("R14 decnet-agent goes on as a service when its log is not read", async () => {
  await using host = await Host.create();
  const engine = await host.startEngine();
  const flags = ["--interval=5s", ...host.flags()];
  const ended = await runBelow("service", flags, async () => {
    const before = engine.requestCount;
    await until(() => engine.requestCount > before + 6);
  });
  assert.equal(ended.code, 0);
});
