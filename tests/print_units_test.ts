import assert from "node:assert/strict";
import { works } from "./binary/works.ts";
import { runOn } from "./command_line.ts";
import { requirement } from "./requirements.ts";
import { TemporaryFolder } from "./temporary_folder.ts";

const systemd = requirement("systemd-analyze", await works("systemd-analyze", "--version"));
const units = ["decnet-agent.service", "decnet-agent-check.service", "decnet-agent-check.timer"];

/** The most that a unit may be exposed, from 0 to 10. */
const maximumExposure = 1.5;

for (const name of ["decnet-agent", "a b/50%h/$HOME/${x}/decnet-agent"]) {
  Deno.test({
    name: `systemd finds no fault with the units printed by ${name}${systemd.suffix}`,
    ignore: systemd.ignore,
    async fn() {
      systemd.check();
      using folder = new TemporaryFolder();
      const paths = await printUnits(folder.path, name);
      const { code, said } = await analyze("verify", ...paths);
      assert.deepEqual([code, said], [0, ""]);
    },
  });
}

Deno.test({
  name: `the printed services are exposed by ${maximumExposure} at most${systemd.suffix}`,
  ignore: systemd.ignore,
  async fn() {
    systemd.check();
    using folder = new TemporaryFolder();
    const paths = await printUnits(folder.path, "decnet-agent");
    const services = paths.filter((path) => path.endsWith(".service"));
    assert.equal(services.length, 2);
    for (const path of services) {
      const { said } = await analyze("security", "--offline=true", "--no-pager", path);
      const exposure = /Overall exposure level for \S+: ([\d.]+)/.exec(said)?.[1];
      assert.ok(Number(exposure) <= maximumExposure, said);
    }
  },
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

/** Prints all units, into a folder, by a program there of this name; answers their paths. */
async function printUnits(folder: string, name: string): Promise<string[]> {
  const program = `${folder}/${name}`;
  await Deno.mkdir(program.slice(0, program.lastIndexOf("/")), { recursive: true });
  await Deno.writeTextFile(program, "");
  await Deno.chmod(program, 0o755);
  const print = async (what: string) => {
    return (await runOn(["print", what], { executable: () => program })).stdout;
  };
  const [check, timer] = (await print("systemd-timer")).split(/^(?=# \/etc\/.*\.timer$)/m);
  const texts = [await print("systemd-service"), check!, timer!];
  for (const [index, unit] of units.entries()) {
    await Deno.writeTextFile(`${folder}/${unit}`, texts[index]!);
  }
  return units.map((unit) => `${folder}/${unit}`);
}

async function analyze(...args: string[]): Promise<{ code: number; said: string }> {
  const { code, stdout, stderr } = await new Deno.Command("systemd-analyze", {
    args,
    env: { SYSTEMD_COLORS: "0", LANG: "C.UTF-8" },
  }).output();
  const decoder = new TextDecoder();
  return { code, said: decoder.decode(stdout) + decoder.decode(stderr) };
}
