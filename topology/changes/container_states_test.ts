import assert from "node:assert/strict";
import {
  changesOf,
  full,
  idle,
  inventory,
  type Otherwise,
  relabelled,
  remade,
  webRemade,
} from "../../tests/sample_plan.ts";
import { specLabel } from "../inventory.ts";

Deno.test("findChanges() asks no more of a service than a word that makes it run", () => {
  assert.deepEqual(changesOf(inventory({ "web-ssh": { state: "exited" } })), [
    "start container web-ssh: stopped",
  ]);
  assert.deepEqual(changesOf(inventory({ "web-ssh": { state: "created" } })), [
    "start container web-ssh: never started",
  ]);
  assert.deepEqual(changesOf(inventory({ "web-ssh": { state: "paused" } })), [
    "unpause container web-ssh: paused",
  ]);
});

Deno.test("findChanges() starts a base that has stopped, and its services anew", () => {
  const start = "start container web: stopped";
  const reason = "its base is started anew";
  const cases: [states: Otherwise, lines: string[]][] = [
    [{}, [`restart container web-http: ${reason}`, `restart container web-ssh: ${reason}`]],
    [
      { "web-http": { state: "exited" } },
      ["start container web-http: stopped", `restart container web-ssh: ${reason}`],
    ],
    [
      { "web-http": { state: "created" }, "web-ssh": { state: "dead" } },
      ["start container web-http: never started", ...remade({ "web-ssh": "dead" })],
    ],
    [
      { "web-http": { state: "paused" }, "web-ssh": { state: "restarting" } },
      remade({ "web-http": reason, "web-ssh": reason }),
    ],
    [
      { "web-http": null, "web-ssh": relabelled("web-ssh", { [specLabel]: "x" }) },
      [
        "create container web-http: missing",
        ...remade({ "web-ssh": "made from another specification" }),
      ],
    ],
  ];
  for (const [states, lines] of cases) {
    const existing = inventory({ web: idle("web", "exited"), ...states });
    assert.deepEqual(changesOf(existing), [start, ...lines]);
  }
});

Deno.test("findChanges() starts a base that was never started, if it is on all of its networks", () => {
  const reason = "its base is started anew";
  assert.deepEqual(changesOf(inventory({ web: idle("web", "created") })), [
    "start container web: never started",
    `restart container web-http: ${reason}`,
    `restart container web-ssh: ${reason}`,
  ]);
  const addressByNetwork = new Map([[full("dmz"), ""]]);
  assert.deepEqual(
    changesOf(inventory({ web: { state: "created", addressByNetwork } })),
    webRemade(`not attached to ${full("inner")}`),
  );
});

Deno.test("findChanges() unpauses a base, which keeps its network, and minds its services", () => {
  const paused: Otherwise = { web: { state: "paused" } };
  const unpause = "unpause container web: paused";
  assert.deepEqual(changesOf(inventory(paused)), [unpause]);
  const states = { "web-http": { state: "paused" }, "web-ssh": { state: "exited" } };
  assert.deepEqual(changesOf(inventory({ ...paused, ...states })), [
    unpause,
    "unpause container web-http: paused",
    "start container web-ssh: stopped",
  ]);
});

Deno.test("findChanges() makes a base anew that cannot be started, and with it its services", () => {
  const cases: [state: string, reason: string][] = [
    ["dead", "dead"],
    ["removing", "removing"],
    ["a word of a newer engine", "a word of a newer engine"],
  ];
  for (const [state, reason] of cases) {
    assert.deepEqual(changesOf(inventory({ web: idle("web", state) })), webRemade(reason), state);
    const service = { "web-http": { state: "exited" } };
    assert.deepEqual(
      changesOf(inventory({ web: idle("web", state), ...service })),
      webRemade(reason),
    );
  }
});

Deno.test("findChanges() leaves a base alone that restarts, unless a service needs it", () => {
  const web = idle("web", "restarting");
  assert.deepEqual(changesOf(inventory({ web })), []);
  const reason = "it does not stay up, and a service needs it";
  for (const service of [{ state: "exited" }, relabelled("web-http", { [specLabel]: "x" })]) {
    assert.deepEqual(changesOf(inventory({ web, "web-http": service })), webRemade(reason));
  }
  const withMissing = changesOf(inventory({ web, "web-http": null }));
  assert.ok(withMissing.includes(`create container web: ${reason}`), withMissing.join("\n"));
});

Deno.test("findChanges() restarts services that run longer than their base, and so without it", () => {
  const up = (atLeast: number, atMost: number) => ({ uptime: { atLeast, atMost } });
  const reason = "its base is started anew";
  const again = [
    `restart container web-http: ${reason}`,
    `restart container web-ssh: ${reason}`,
  ];
  const cases: [otherwise: Otherwise, lines: string[]][] = [
    [{ web: up(0, 59) }, again],
    // Whether it is the base that runs longer cannot be told.
    [{ web: up(0, 60) }, []],
    [{ web: up(3600, 7200) }, []],
    [{ web: { uptime: null } }, []],
    [{ web: up(0, 1), "web-http": { uptime: null }, "web-ssh": up(1, 2) }, []],
    [
      { web: up(0, 1), "web-http": { state: "paused" }, "web-ssh": { state: "restarting" } },
      remade({ "web-http": reason, "web-ssh": reason }),
    ],
    // How long a base runs is of no interest beside another.
    [{ web: up(3600, 7200), db: up(60, 120) }, []],
  ];
  for (const [otherwise, lines] of cases) assert.deepEqual(changesOf(inventory(otherwise)), lines);
});
