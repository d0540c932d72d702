import assert from "node:assert/strict";
import { systemPaths } from "../host/files.ts";
import { runOn } from "../tests/support/command_line.ts";
import { TemporaryFolder } from "../tests/support/environment.ts";
import { requirement, works } from "../tests/support/requirements.ts";
import {
  confinement,
  cronWord,
  execCommand,
  folderHiddenByUnit,
  installScript,
  listedPath,
  uninstallScript,
} from "./units.ts";

Deno.test("execCommand() and listedPath() escape a path for systemd", () => {
  const cases: [path: string, command: string, listed: string][] = [
    ["/usr/local/bin/decnet-agent", "/usr/local/bin/decnet-agent", "/usr/local/bin/decnet-agent"],
    ["/opt/v1.0_x+y@z:,=/a", "/opt/v1.0_x+y@z:,=/a", "/opt/v1.0_x+y@z:,=/a"],
    ["/opt/a b/c", '"/opt/a b/c"', '"/opt/a b/c"'],
    ["/opt/50%/%h", "/opt/50%%/%%h", "/opt/50%%/%%h"],
    ["/opt/$HOME/c", ':"/opt/$HOME/c"', '"/opt/$HOME/c"'],
    ["/opt/ü;#/c", '"/opt/ü;#/c"', '"/opt/ü;#/c"'],
  ];
  for (const [path, command, listed] of cases) {
    assert.deepEqual([execCommand(path), listedPath(path)], [command, listed]);
  }
});

Deno.test("execCommand() and listedPath() refuse what systemd refuses", () => {
  for (const path of ['/a"b', "/a'b", "/a\\b", "/a\nb", "/a\x7fb", "decnet-agent", ""]) {
    for (const write of [execCommand, listedPath]) {
      const refusal = /^Error: Cannot print for [^]*: the path of the executable /;
      assert.throws(() => write(path), refusal);
    }
  }
});

Deno.test("cronWord() escapes a path for cron and its shell", async () => {
  const paths = ["/usr/local/bin/decnet-agent", "/a b/c", "/50%", "/it's", '/"', "/%%a%"]
    .concat("/$HOME/`id`/$(id)", '/"%"$%`', "/ü;&|<>*?[x]~#!");
  for (const path of paths) {
    const { stdout } = await new Deno.Command("sh", {
      args: ["-c", `printf %s ${asCronReads(cronWord(path))}`],
    }).output();
    assert.equal(new TextDecoder().decode(stdout), path);
  }
});

Deno.test("cronWord() refuses newlines, backslashes and relative paths", () => {
  for (const path of ["/a\nb", "/a\rb", "/a\\b", "relative"]) {
    assert.throws(() => cronWord(path), Error);
  }
});

/** Returns what cron passes to the shell: all up to a `%`; `\%` is a literal one. */
function asCronReads(text: string): string {
  let read = "";
  for (let index = 0; index < text.length; index++) {
    if (text[index] === "%") break;
    if (text[index] !== "\\") {
      read += text[index];
      continue;
    }
    index++;
    read += text[index] === "%" ? "%" : `\\${text[index]}`;
  }
  return read;
}

const shells = [
  ["sh", requirement("sh", true)],
  ["busybox", requirement("busybox", await works("busybox", "true"))],
] as const;

for (const [shell, needed] of shells) {
  needed.test(`the scripts know any path of the executable under ${shell}`, async () => {
    const paths = ["/usr/local/bin/decnet-agent", "/a b/it's", '/"$HOME"/`id`', "/$&/\\n/#;*~"];
    for (const path of paths) {
      for (const script of [installScript(path), uninstallScript(path)]) {
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

Deno.test("installScript() and uninstallScript() use the paths of the system", () => {
  for (const script of [installScript("/a"), uninstallScript("/a")]) {
    for (const path of Object.values(systemPaths)) {
      assert.match(script, new RegExp(`=${path}$`, "m"));
    }
    assert.throws(() => installScript("/a\nb"), /without control characters$/);
  }
});

Deno.test("folderHiddenByUnit() finds the folder that hides an executable", () => {
  const cases: [path: string, folder: string | null][] = [
    ["/usr/local/bin/decnet-agent", null],
    ["/opt/home/decnet-agent", null],
    ["/homeland/decnet-agent", null],
    ["/var/lib/decnet-agent/decnet-agent", null],
    ["/root/decnet-agent", "/root"],
    ["/home/a/bin/decnet-agent", "/home"],
    ["/tmp/decnet-agent", "/tmp"],
    ["/var/tmp/x/decnet-agent", "/var/tmp"],
    ["/srv/decnet-agent", "/srv"],
    ["/dev/shm/decnet-agent", "/dev"],
    ["/var/lib/docker/decnet-agent", "/var/lib/docker"],
  ];
  for (const [path, folder] of cases) assert.equal(folderHiddenByUnit(path), folder, path);
});

Deno.test("confinement() differs in the path of the executable only", () => {
  const one = confinement("/usr/local/bin/decnet-agent").split("\n");
  const other = confinement("/opt/a b/100%").split("\n");
  const differing = other.filter((line, index) => line !== one[index]);
  assert.deepEqual(differing, ['ExecPaths="/opt/a b/100%%" -/usr/lib -/usr/lib64']);
  assert.equal(one.length, other.length);
});

const systemd = requirement("systemd-analyze", await works("systemd-analyze", "--version"));
/** The units, by what prints them. */
const units = {
  "systemd-service": "decnet-agent.service",
  "systemd-check-service": "decnet-agent-check.service",
  "systemd-check-timer": "decnet-agent-check.timer",
};

/** The most that a unit may be exposed, from 0 to 10. */
const maximumExposure = 1.5;

for (const name of ["decnet-agent", "a b/50%h/$HOME/${x}/decnet-agent"]) {
  systemd.test(`systemd finds no fault with the units printed by ${name}`, async () => {
    using folder = new TemporaryFolder();
    const paths = await printUnits(folder.path, name);
    const { code, said } = await analyze("verify", ...paths);
    assert.deepEqual([code, said], [0, ""]);
  });
}

systemd.test(`the printed services are exposed by ${maximumExposure} at most`, async () => {
  using folder = new TemporaryFolder();
  const paths = await printUnits(folder.path, "decnet-agent");
  const services = paths.filter((path) => path.endsWith(".service"));
  assert.equal(services.length, 2);
  for (const path of services) {
    const { said } = await analyze("security", "--offline=true", "--no-pager", path);
    const exposure = /Overall exposure level for \S+: ([\d.]+)/.exec(said)?.[1];
    assert.ok(Number(exposure) <= maximumExposure, said);
  }
});

Deno.test("the printed services are confined alike", async () => {
  using folder = new TemporaryFolder();
  const [loop, check] = await Promise.all(
    (await printUnits(folder.path, "decnet-agent")).slice(0, 2).map(async (path) => {
      const text = await Deno.readTextFile(path);
      return /^User=[^[]*/m.exec(text)![0].trim();
    }),
  );
  assert.equal(loop, check);
});

/** Prints all units into a folder, by a program with this name; returns their paths. */
async function printUnits(folder: string, name: string): Promise<string[]> {
  const program = `${folder}/${name}`;
  await Deno.mkdir(program.slice(0, program.lastIndexOf("/")), { recursive: true });
  await Deno.writeTextFile(program, "");
  await Deno.chmod(program, 0o755);
  return await Promise.all(
    Object.entries(units).map(async ([what, unit]) => {
      const { stdout } = await runOn(["print", what], { executable: () => program });
      await Deno.writeTextFile(`${folder}/${unit}`, stdout);
      return `${folder}/${unit}`;
    }),
  );
}

async function analyze(...args: string[]): Promise<{ code: number; said: string }> {
  const { code, stdout, stderr } = await new Deno.Command("systemd-analyze", {
    args,
    env: { SYSTEMD_COLORS: "0", LANG: "C.UTF-8" },
  }).output();
  const decoder = new TextDecoder();
  return { code, said: decoder.decode(stdout) + decoder.decode(stderr) };
}
