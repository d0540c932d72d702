import assert from "node:assert/strict";
import { requirement } from "./requirements.ts";
import { TemporaryFolder } from "./temporary_folder.ts";

/** File permissions have an effect on root only without these capabilities. */
const confined = Deno.uid() === 0
  ? ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
  : ["env"];

async function run(args: string[], env: Record<string, string> = {}) {
  const [command = "", ...rest] = [...confined, ...args];
  return await new Deno.Command(command, { args: rest, env }).output();
}

const { ignore, suffix, check } = requirement(
  "setpriv, as root",
  await run(["true"]).then(({ success }) => success, () => false),
);

Deno.test({
  name: `a running agent applies nothing while the lock is another user's alone${suffix}`,
  ignore,
  async fn() {
    check();
    using folder = new TemporaryFolder();
    const S = `${folder.path}/state`;
    const program = import.meta.resolve("./store_lasting_user.ts");
    const { success, stdout, stderr } = await run([
      ...[Deno.execPath(), "run", "-q", "--no-check", "-A", program, `${S}/topology.db`],
      ...["chmod 0 $S/apply.lock", "chmod 600 $S/apply.lock"],
    ], { S, NO_COLOR: "1" });
    assert.ok(success, new TextDecoder().decode(stderr));
    const [, meanwhile] = new TextDecoder().decode(stdout).trim().split("\n")
      .map((line) => JSON.parse(line));
    assert.match(meanwhile.apply, /^Cannot lock \S+apply\.lock: Permission denied; .*agent's user/);
    assert.deepEqual([meanwhile.state, meanwhile.applied], ["ok", "1"]);
  },
});
