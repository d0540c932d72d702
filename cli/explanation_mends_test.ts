import assert from "node:assert/strict";
import { TemporaryFolder } from "../tests/temporary_folder.ts";
import { explainConfiguration } from "./explanation.ts";

/** What mends the one problem with a file named by `--config`. */
function mendOf(path: string, readFile: () => string | null): string {
  const { problems } = explainConfiguration(new Map(), path, {
    variable: () => undefined,
    readFile,
    exists: () => true,
    isRoot: true,
  });
  assert.equal(problems.length, 1);
  return problems[0]!.mend;
}

function refuse(message: string): () => never {
  return () => {
    throw new Error(message);
  };
}

Deno.test("explainConfiguration() never has a file printed over that is there", () => {
  assert.equal(mendOf("my.ini", () => "[agnet]\nmaster-host = m\n"), "vi +1 my.ini");
  assert.equal(mendOf("my.ini", () => ""), "vi +1 my.ini");
  const isFolder = refuse("it is not a regular file of at most 1 MiB");
  assert.equal(
    mendOf("/tmp", isFolder),
    "start it without --config: the default is /etc/decnet/decnet.ini",
  );
});

Deno.test("explainConfiguration() names paths as a shell takes them", () => {
  assert.equal(mendOf("my agent.ini", () => "[agent]\nhuh\n"), "vi +2 'my agent.ini'");
});

Deno.test("explainConfiguration() has an absent file made together with its folder", async () => {
  using folder = new TemporaryFolder();
  const path = `${folder.path}/new folder/agent.ini`;
  const mend = mendOf(path, () => null).replace("decnet-agent print config", "echo printed");
  const { success } = await new Deno.Command("sh", { args: ["-c", mend] }).output();
  assert.ok(success, mend);
  assert.equal(await Deno.readTextFile(path), "printed\n");
});

Deno.test("explainConfiguration() has a service restarted for what a reload cannot change", () => {
  const { problems } = explainConfiguration(new Map([["interval", "1s"]]), null, {
    variable: () => undefined,
    readFile: () => `[agent]\nstate-dir = ${"a".repeat(5000)}\nlisten = here\n`,
    exists: () => true,
    isRoot: true,
    isServiceActive: true,
  });
  assert.deepEqual(problems.map(({ mend }) => mend).sort(), [
    "start it without --interval: the default is 30s",
    "vi +2 /etc/decnet/decnet.ini && systemctl restart decnet-agent",
    "vi +3 /etc/decnet/decnet.ini && systemctl reload decnet-agent",
  ]);
});
