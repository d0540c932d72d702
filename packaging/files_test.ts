import assert from "node:assert/strict";
import { systemPaths } from "../host/files.ts";
import { runOn } from "../tests/support/command_line.ts";
import { TemporaryFolder } from "../tests/support/environment.ts";
import { requirement, works } from "../tests/support/requirements.ts";

const systemd = requirement("systemd-analyze", await works("systemd-analyze", "--version"));
const services = ["decnet-agent.service", "decnet-agent-check.service"];
const units = [...services, "decnet-agent-check.timer"];
const read = (name: string) => Deno.readTextFile(new URL(name, import.meta.url));

/** The most that a unit may be exposed, from 0 to 10. */
const maximumExposure = 1.5;

systemd.test("systemd finds no fault with the units", async () => {
  using folder = new TemporaryFolder();
  const program = `${folder.path}/decnet-agent`;
  await Deno.writeTextFile(program, "");
  await Deno.chmod(program, 0o755);
  for (const name of units) {
    const text = (await read(name)).replaceAll("/usr/local/bin/decnet-agent", program);
    await Deno.writeTextFile(`${folder.path}/${name}`, text);
  }
  assert.equal(await analyze("verify", ...units.map((name) => `${folder.path}/${name}`)), "");
});

for (const name of services) {
  systemd.test(`${name} is exposed by ${maximumExposure} at most`, async () => {
    const { pathname } = new URL(name, import.meta.url);
    const said = await analyze("security", "--offline=true", "--no-pager", pathname);
    const exposure = /Overall exposure level for \S+: ([\d.]+)/.exec(said)?.[1];
    assert.ok(Number(exposure) <= maximumExposure, said);
  });
}

Deno.test("the services are confined alike", async () => {
  const [loop, check] = await Promise.all(
    services.map(async (name) => /^User=[^[]*/m.exec(await read(name))![0].trim()),
  );
  assert.equal(loop, check);
});

Deno.test("units and scripts use the paths of the system", async () => {
  for (const path of Object.values(systemPaths)) {
    for (const name of ["install.sh", "uninstall.sh"]) {
      assert.match(await read(name), new RegExp(`=${path}$`, "m"));
    }
  }
  for (const name of services) {
    const text = await read(name);
    assert.ok(text.includes(`\nNoExecPaths=/ /run /tmp /var/tmp ${systemPaths.state}\n`));
    assert.ok(text.includes("\nExecStart=/usr/local/bin/decnet-agent "));
    assert.ok(text.includes("\nExecPaths=/usr/local/bin/decnet-agent "));
  }
});

const shells = [
  ["sh", requirement("sh", true)],
  ["busybox", requirement("busybox", await works("busybox", "true"))],
] as const;

for (const [shell, needed] of shells) {
  needed.test(`the scripts know any path of the executable under ${shell}`, async () => {
    const paths = ["/usr/local/bin/decnet-agent", "/a b/it's", '/"$HOME"/`id`', "/$&/\\n/#;*~\n"];
    for (const path of paths) {
      for (const what of ["install", "uninstall"]) {
        const script = (await runOn(["print", what], { executable: () => path })).stdout;
        // Without the last line, which runs it.
        const text = script.replace(/^main .*\n$/m, `printf %s "$program"\n`);
        assert.ok(text.endsWith('"$program"\n'));
        const args = [...(shell === "sh" ? [] : ["sh"]), "-c", text];
        const { stdout, stderr } = await new Deno.Command(shell, { args }).output();
        const said = [stdout, stderr].map((it) => new TextDecoder().decode(it));
        assert.deepEqual(said, [path, ""]);
      }
    }
  });
}

/** Runs `line` in place of the last line of a script, which runs all of it. */
async function runInScript(name: string, line: string, changes: Record<string, string>) {
  const text = Object.entries(changes).reduce(
    (text, [from, to]) => text.replaceAll(from, to),
    await read(name),
  ).replace(/^main .*\n$/m, `${line}\n`);
  return await new Deno.Command("sh", {
    args: ["-c", text],
    env: { DECNET_STATE_DIR: "/elsewhere", DOCKER_HOST: "unix:///elsewhere" },
  }).output().then(({ stdout, stderr }) =>
    new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr)
  );
}

Deno.test("install.sh writes no configuration where others could put a link", async () => {
  using folder = new TemporaryFolder();
  await Deno.chmod(folder.path, 0o777);
  const changes = { "/etc/decnet": folder.path, "/usr/local/bin/decnet-agent": "echo" };
  assert.equal(
    await runInScript("install.sh", "make_config", changes),
    `left alone: ${folder.path}/decnet.ini, which others than root could replace\n`,
  );
  assert.deepEqual([...Deno.readDirSync(folder.path)], []);
});

Deno.test("uninstall.sh asks for the topology without root's variables", async () => {
  using folder = new TemporaryFolder();
  const program = `${folder.path}/decnet-agent`;
  const variables = "${DECNET_STATE_DIR-}${DOCKER_HOST-}";
  await Deno.writeTextFile(
    program,
    `#!/bin/sh\necho '  "topology_id": "found'"${variables}"'",'\n`,
  );
  await Deno.chmod(program, 0o755);
  const changes = { "/usr/local/bin/decnet-agent": program };
  assert.equal(
    await runInScript("uninstall.sh", "keep=; obstacle", changes),
    "topology found is applied. First: decnet-agent teardown found\n",
  );
});

async function analyze(...args: string[]): Promise<string> {
  const { stdout, stderr } = await new Deno.Command("systemd-analyze", {
    args,
    env: { SYSTEMD_COLORS: "0", LANG: "C.UTF-8" },
  }).output();
  const decoder = new TextDecoder();
  return decoder.decode(stdout) + decoder.decode(stderr);
}
