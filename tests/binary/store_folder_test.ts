import assert from "node:assert/strict";
import { TopologyStore } from "../../store/mod.ts";
import { requirement } from "../requirements.ts";
import { execute, Host } from "./host.ts";
import { works } from "./works.ts";

const nobody = 65_534;
const wrapper = ["setpriv", `--reuid=${nobody}`, `--regid=${nobody}`, "--clear-groups"];
const setpriv = requirement(
  "setpriv and root",
  await works(wrapper[0]!, ...wrapper.slice(1), "true"),
);

Deno.test({
  name:
    `decnet-agent --once warns of a store whose folder its user may not write to${setpriv.suffix}`,
  ignore: setpriv.ignore,
  fn: async () => {
    setpriv.check();
    await using host = await Host.create();
    await host.startEngine();
    await Deno.chmod(host.folder, 0o755);
    await Deno.chmod(host.socket, 0o666);
    const store = TopologyStore.open(host.storePath);
    store.put("A", "h1", '{"topology":{"id":"A"},"lans":[],"deckies":[]}');
    store.close();
    await Deno.chown(host.storePath, nobody, nobody);
    const codes: number[] = [];
    const check = async () => {
      const { code, stdout } = await execute(["--once", ...host.flags()], { wrapper });
      codes.push(code);
      return stdout;
    };
    await Deno.chmod(host.stateDirectory, 0o755);
    const problem = `the store cannot be written: user ${nobody} may not write to its folder`;
    assert.ok((await check()).startsWith(`DECNET WARNING - ${problem}`));
    await Deno.remove(host.storePath);
    assert.ok((await check()).startsWith(`DECNET WARNING - ${problem}`));
    await Deno.chown(host.stateDirectory, nobody, nobody);
    assert.match(await check(), /^DECNET OK - idle, /);
    assert.deepEqual(codes, [1, 1, 0]);
  },
});
