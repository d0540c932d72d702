import assert from "node:assert/strict";
import manifest from "../deno.json" with { type: "json" };
import { type KeyName, keyNames, keys, variableOf } from "./keys.ts";

/** For each key what it takes, with the value that comes of it, and what it refuses. */
const cases: Record<KeyName, { taken: [text: string, value: unknown][]; refused: string[] }> = {
  "master-host": {
    taken: [
      ...same("master", "a.b-c.example", "10.0.0.1", "::1", "fd00::1", "MASTER.example.", "a_b.c"),
      ["[::1]", "::1"],
      ["[fd00::1]", "fd00::1"],
    ],
    refused: [
      "",
      " ",
      "a b",
      "a/b",
      "https://a",
      "a:8770",
      "[::1",
      "::1]",
      "[[::1]]",
      "[::1]:8770",
      "[a]",
      "[10.0.0.1]",
      "[10.0.0.1:8770]",
      "[:]",
      "[]",
      "-a",
      ".a",
      "a..b",
      "a@b",
      "a\n",
    ]
      .concat("a".repeat(254), "é.example", "10.0.0.1:8770", "master.example:8770"),
  },
  "swarmctl-port": {
    taken: [["1", 1], ["8770", 8770], ["65535", 65535], ["08770", 8770]],
    refused: ["", "0", "65536", "-1", "+1", "1.0", "1e3", "0x10", " 1", "1 ", "8770/tcp", "９"]
      .concat("1".repeat(10)),
  },
  "master-name": {
    taken: [...same("master.example", "10.0.0.1", "::1"), ["[::1]", "::1"]],
    refused: ["", "*.example", "a b", "CN=a"],
  },
  "master-fingerprint": {
    taken: [
      ["a0".repeat(32), "a0".repeat(32)],
      ["A0".repeat(32), "a0".repeat(32)],
      [Array(32).fill("Fe").join(":"), "fe".repeat(32)],
    ],
    refused: [
      "",
      "a0",
      "a0".repeat(31),
      "a0".repeat(33),
      "g0".repeat(32),
      `sha256:${"a0".repeat(32)}`,
    ]
      .concat(`${"a0".repeat(32)}\n`, "a0 ".repeat(32)),
  },
  "host-uuid": {
    taken: same("aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee", "host_1.a", "a".repeat(64)),
    refused: ["", "a b", "a/b", "a".repeat(65), "é", "a\n", "{a}"],
  },
  "agent-dir": { taken: paths(), refused: ["", "a\nb", "a\0b", "\t"] },
  "state-dir": { taken: paths(), refused: ["", "a\nb", "a\0b", "\t"] },
  "docker-host": {
    taken: [
      ["unix:///var/run/docker.sock", "/var/run/docker.sock"],
      ["unix:///a b/é", "/a b/é"],
    ],
    refused: ["", "/var/run/docker.sock", "unix://", "unix://docker.sock", "unix:/a", "UNIX:///a"]
      .concat(
        "tcp://127.0.0.1:2375",
        "ssh://a",
        "npipe:////./pipe/docker_engine",
        "http://a",
        "unix:///\0",
      ),
  },
  "interval": {
    taken: [
      ["5s", 5_000],
      ["30s", 30_000],
      ["1m", 60_000],
      ["90s", 90_000],
      ["60m", 3_600_000],
      ["1h", 3_600_000],
      ["3600s", 3_600_000],
    ],
    refused: ["", "30", "4s", "0s", "3601s", "61m", "2h", "1d", "1.5m", "-5s", "5 s", "5S", "1m30s"]
      .concat("500ms", "s", "Infinitys", "99999999s"),
  },
  "network-prefix": { taken: prefixes(), refused: notPrefixes() },
  "container-prefix": { taken: prefixes(), refused: notPrefixes() },
};

function same(...texts: string[]): [string, string][] {
  return texts.map((text) => [text, text]);
}

function paths(): [string, string][] {
  return [...same("/", "/a", "relative/a b", "."), ["/a/b//", "/a/b"], ["//", "/"], [
    "/é/😀/",
    "/é/😀",
  ]];
}

function prefixes(): [string, string[]][] {
  return [["decnet-", ["decnet-"]], ["a, b_ ,c.d", ["a", "b_", "c.d"]], ["9", ["9"]]];
}

function notPrefixes(): string[] {
  return ["", ",", "a,", ",a", "a,,b", "-a", "_a", ".a", "a b", "a/b", "a*", "é"];
}

for (const name of keyNames) {
  Deno.test(`${name} takes what it may be, and nothing else`, () => {
    const parse: (text: string) => unknown = keys[name].parse;
    for (const [text, value] of cases[name].taken) assert.deepEqual(parse(text), value, text);
    for (const text of cases[name].refused) {
      assert.equal(parse(text), null, `takes ${JSON.stringify(text)}`);
    }
  });
}

Deno.test("each key has a text for the help", () => {
  assert.deepEqual(keyNames, Object.keys(cases));
  for (const name of keyNames) {
    const { placeholder, summary, fallback, allowed } = keys[name];
    for (const text of [placeholder, summary, fallback, allowed]) {
      assert.match(text, /^\S[^\n]*[^\s.]$/);
    }
  }
});

Deno.test("variableOf() names the variable of a key", () => {
  assert.equal(variableOf("master-host"), "DECNET_MASTER_HOST");
  assert.equal(variableOf("swarmctl-port"), "DECNET_SWARMCTL_PORT");
});

Deno.test("deno.json permits the variables that the agent reads, and no others", () => {
  const surroundings = [
    "HOME",
    "DOCKER_HOST",
    "STATE_DIRECTORY",
    "XDG_RUNTIME_DIR",
    "XDG_STATE_HOME",
  ];
  const { env, run, ffi, import: imports } = manifest.permissions.agent;
  assert.deepEqual([...env].sort(), [...surroundings, ...keyNames.map(variableOf)].sort());
  assert.deepEqual([run, ffi, imports], [false, false, false]);
});
