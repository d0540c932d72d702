import assert from "node:assert/strict";
import { requirement } from "../requirements.ts";
import { execute, Host } from "./host.ts";
import { works } from "./works.ts";

/** Nobody, with one group that no file of this host gives to it. */
const group = 991_991;
const asMember = ["setpriv", "--reuid=65534", "--regid=65534"];
const withGroup = [...asMember, `--groups=${group}`];
const setpriv = requirement(
  "setpriv and root",
  await works(withGroup[0]!, ...withGroup.slice(1), "true"),
);

for (
  const { name, wrapper, state, saw } of [
    {
      name: "that the process has by itself",
      wrapper: withGroup,
      state: "ok",
      saw: /connections$/,
    },
    {
      name: "that the process has not",
      wrapper: [...asMember, "--clear-groups"],
      state: "failed",
      saw: /^permission denied: user \S+ is not in group 991991; /,
    },
  ]
) {
  Deno.test({
    name: `decnet-agent doctor tries the socket of a group ${name}${setpriv.suffix}`,
    ignore: setpriv.ignore,
    fn: async () => {
      setpriv.check();
      await using host = await Host.create();
      await host.startEngine();
      await Deno.chmod(host.folder, 0o755);
      await Deno.chown(host.socket, 0, group);
      await Deno.chmod(host.socket, 0o660);
      const { stdout, stderr } = await execute(["doctor", "--json", ...host.flags()], { wrapper });
      assert.equal(stderr, "");
      const { checks } = JSON.parse(stdout) as { checks: Record<string, string>[] };
      const check = checks.find((check) => check["name"] === "socket")!;
      assert.equal(check["state"], state, stdout);
      assert.match(check["saw"]!, saw);
      // The engine was really asked, or not: the two must agree.
      const engine = checks.find((check) => check["name"] === "engine")!;
      assert.equal(engine["state"], state === "ok" ? "ok" : "skipped");
    },
  });
}
