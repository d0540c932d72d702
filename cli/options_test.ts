import assert from "node:assert/strict";
import { keyCases } from "../tests/support/option_cases.ts";
import { keys } from "./help.ts";
import { keyNames, options, variableOf } from "./options.ts";
import manifest from "../deno.json" with { type: "json" };

for (const name of keyNames) {
  Deno.test(`${name} accepts allowed values only`, () => {
    const parse: (text: string) => unknown = options[name].parse;
    for (const [text, value] of keyCases[name].taken) assert.deepEqual(parse(text), value, text);
    for (const text of keyCases[name].refused) {
      assert.equal(parse(text), null, `takes ${JSON.stringify(text)}`);
    }
  });
}

Deno.test("each key has texts for the help", () => {
  assert.deepEqual(keyNames, Object.keys(keyCases));
  for (const { placeholder, summary, value, fallback, allowed } of keys) {
    for (const text of [placeholder, summary, value ?? fallback!, allowed]) {
      assert.match(text, /^\S[^\n]*[^\s.]$/);
    }
  }
});

Deno.test("variableOf() names the variable of a key", () => {
  assert.equal(variableOf("master-host"), "DECNET_MASTER_HOST");
  assert.equal(variableOf("swarmctl-port"), "DECNET_SWARMCTL_PORT");
  assert.equal(variableOf("allowed-cn"), "DECNET_ALLOWED_CN");
});

Deno.test("deno.json permits exactly what the agent reads", () => {
  const environment = [
    "HOME",
    "DOCKER_HOST",
    "JOURNAL_STREAM",
    "NOTIFY_SOCKET",
    "NO_COLOR",
    "STATE_DIRECTORY",
    "TERM",
    "WATCHDOG_USEC",
    "XDG_RUNTIME_DIR",
    "XDG_STATE_HOME",
  ];
  const { env, sys, run, ffi, import: imports } = manifest.permissions.agent;
  assert.deepEqual([...env].sort(), [...environment, ...keyNames.map(variableOf)].sort());
  assert.deepEqual(sys, ["uid", "networkInterfaces", "statfs", "getPriority"]);
  // Without a denial, deno compile grants imports from some hosts.
  assert.deepEqual([run, ffi, imports], [false, false, { deny: true }]);
});
