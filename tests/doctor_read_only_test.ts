import assert from "node:assert/strict";
import { TopologyStore } from "../store/mod.ts";
import { works } from "./binary/works.ts";
import { requirement } from "./requirements.ts";
import { TemporaryFolder } from "./temporary_folder.ts";

const { ignore, suffix, check } = requirement(
  "unshare and the right to use it",
  await works("unshare", "--mount", "findmnt", "-T", "/"),
);

/** What the doctor says of the store, before its mend was carried out and afterwards. */
const script = `mount --bind $S $S && mount -o remount,ro,bind $S $S
$DOCTOR | tee $S.first; sh -c "$(sed -n '/^store /,/→/ s/.*→ //p' $S.first)"; $DOCTOR`;

Deno.test({
  name: `doctor mends a store on a file system that is read-only${suffix}`,
  ignore,
  async fn() {
    check();
    using folder = new TemporaryFolder();
    const S = `${folder.path}/state`;
    await Deno.mkdir(S, { mode: 0o700 });
    TopologyStore.open(`${S}/topology.db`).close();
    const main = new URL("../main.ts", import.meta.url).pathname;
    const { stdout, stderr } = await new Deno.Command("unshare", {
      args: ["--mount", "sh", "-c", script],
      env: {
        S,
        NO_COLOR: "1",
        DOCTOR: `${Deno.execPath()} run -A ${main} doctor --state-dir=${S}`,
      },
    }).output();
    const text = new TextDecoder().decode(stdout);
    const [before, after] = [...text.matchAll(/^store +(\w+)/gm)].map(([, state]) => state);
    assert.equal(before, "warning", text + new TextDecoder().decode(stderr));
    assert.ok(text.includes(`→ mount -o remount,rw "$(findmnt -n -o TARGET -T ${S})"`), text);
    assert.equal(after, "ok", text);
  },
});
