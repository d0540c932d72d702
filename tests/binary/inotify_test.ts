import assert from "node:assert/strict";
import { requirement } from "../requirements.ts";
import { Host } from "./host.ts";
import { RunningAgent } from "./running_agent.ts";
import { works } from "./works.ts";

/** Runs a program where the kernel watches nothing for its user. */
const flags = ["--user", "--map-root-user", "sh", "-c"]
  .concat('echo 0 > /proc/sys/user/max_inotify_instances && exec "$0" "$@"');
const wrapper = ["unshare", ...flags];
const namespaces = requirement("user namespaces", await works("unshare", ...flags, "true"));

Deno.test({
  name: `decnet-agent says once that it cannot watch its store, and beats on${namespaces.suffix}`,
  ignore: namespaces.ignore,
  fn: async () => {
    namespaces.check();
    await using host = await Host.create();
    await host.startEngine();
    const { master } = await host.startMaster();
    await Deno.mkdir(host.storePath.replace("/topology.db", ""), { recursive: true });
    await using agent = new RunningAgent(["--interval=5s", ...host.flags(master)], { wrapper });
    await agent.until(() => master.beatCount >= 3);
    const { code, stderr } = await agent.stop();
    assert.equal(code, 0);
    const told = stderr.split("\n").filter((line) => line.includes("Cannot watch"));
    assert.equal(told.length, 1, stderr);
    assert.match(
      told[0]!,
      /level=warn msg="Cannot watch \/.*: Too many open files.*; see sysctl fs\.inotify; what others write to the store is told at the interval" subject=store$/,
    );
  },
});
