import assert from "node:assert/strict";

const root = new URL("../../", import.meta.url);

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
export async function runDemo(args: readonly string[], env: Record<string, string> = {}) {
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
export function assertSequence(text: string, patterns: readonly RegExp[]): void {
  let rest = text;
  for (const pattern of patterns) {
    const found = pattern.exec(rest);
    assert.ok(found, `${pattern} is missing in its place:\n${text}`);
    rest = rest.slice(found.index + found[0].length);
  }
}

/** Asserts that each line fits and nothing is shown that is not meant for eyes. */
export function assertReadable(text: string): void {
  const lines = text.split("\n");
  assert.deepEqual(lines.filter((line) => line.length > 100 || line !== line.trimEnd()), []);
  // deno-lint-ignore no-control-regex
  assert.doesNotMatch(text, /[\x00-\x09\x0b-\x1f]|undefined|null|\[object/);
}

/** What is told of a master that goes and comes back. */
export const masterFails = [
  /master {2}is gone/,
  /agent {3}level=warn msg="Cannot reach the master/,
  /master {2}is back/,
  /master {2}received beat \d+ from demo-host, \d+\.\d s after the one that failed/,
  /agent {3}level=info msg="the master accepts beats again"/,
];

/** What a beat says where nobody else uses the engine. */
export const noDrift = /drift {7}none/;
/** Others may use the engine meanwhile. */
export const noDriftOfOurs = /drift {7}(?:none|unexpected)/;

/** What is told of an apply; `drift` is what a beat says while nothing of it is amiss. */
export const applies = (drift: RegExp) => [
  /master {2}received beat 1 from demo-host\n/,
  /topology {4}none/,
  drift,
  /^2\. .*$/m,
  /master {2}pushes topology 'three-lans' over mutual TLS: 3 LANs, 4 deckies, 5 services/,
  /agent {3}\[ 1\/12\] create network decnet_t_\w{8}_lan-0\d\n/,
  /agent {3}\[12\/12\] create container decnet_t_\w{8}_decky-\S+\n/,
  /agent {3}level=info msg="topology applied"/,
  /host {4}after 23 changing calls to its engine it runs 9 containers on 3 networks:\n/,
  /decnet_t_\w{8}_…\n/,
  /├─ lan-00 {2}\d+\.\d+\.0\.0\/24 {2}DMZ\n/,
  /│ {2}└─ decky-004 {2}\d+\.\d+\.0\.3 {2}http\n/,
  /└─ lan-02 {2}\d+\.\d+\.2\.0\/24 {2}internal\n/,
  / {3}└─ decky-003 {2}\d+\.\d+\.2\.3 {2}mysql, smb\n/,
  drift,
  /^3\. .*$/m,
  /host {4}container \w+_decky-004-http dies\n/,
  /host {4}somebody removes container \w+_decky-002-http\n/,
  /drift {7}missing \S+_decky-002-http; stopped\s+\S+_decky-004-http \(exited\)/,
  /agent {3}level=warn .*_decky-002-http/,
  /^4\. .*$/m,
  /agent {3}\[1\/2\] /,
  /agent {3}\[2\/2\] /,
  /host {4}had 3 changing calls \((?:start|create|, ){5}\): nothing else was touched\n/,
  drift,
  /master {2}pushes it once more/,
  /host {4}had 0 changing calls: all is right as it is, which is no news for a beat\n/,
];

/** What is told of the teardown, and at the end. */
export const tearsDown = (drift: RegExp) => [
  /agent {3}a neighbour's agent asks for a teardown with its own certificate: 403\n/,
  /master {2}asks for the teardown of /,
  /host {4}9 containers, then 3 networks were removed: nothing of it is left\n/,
  /topology {4}none/,
  drift,
  /^Done in /m,
];

/** Starts the demo, ends it once it has printed `mark`, and sees that it leaves no file behind. */
export async function interruptDemo(
  signal: Deno.Signal,
  mark: string,
  { args = [], env = {} }: { args?: readonly string[]; env?: Record<string, string> } = {},
) {
  const temporary = await Deno.makeTempDir();
  try {
    const child = start(temporary, args, env);
    const stderr = new Response(child.stderr).text();
    let stdout = "";
    for await (const part of child.stdout.pipeThrough(new TextDecoderStream())) {
      if (!stdout.includes(mark) && (stdout + part).includes(mark)) child.kill(signal);
      stdout += part;
    }
    const { code } = await child.status;
    assert.deepEqual([...Deno.readDirSync(temporary)], []);
    return { code, stdout, stderr: await stderr };
  } finally {
    await Deno.remove(temporary, { recursive: true });
  }
}
