import assert from "node:assert/strict";
import { Narrator } from "./narrator.ts";
import { Stage } from "./stage.ts";
import { StandInHost } from "./stand_in_host.ts";
import { tellStory } from "./story.ts";

Deno.test("tellStory() fails when what it announces does not reach the master", async () => {
  const folder = await Deno.makeTempDir();
  let told = "";
  try {
    await using host = await StandInHost.open(folder);
    const ending = new AbortController();
    await using stage = await Stage.open({
      folder,
      narrator: new Narrator({ write: (text) => told += text, width: 80, coloured: false }),
      signal: ending.signal,
      onError: (error) => ending.abort(error),
      flags: host.flags,
      listens: true,
      pace: { intervalMs: 30_000, minEarlyGapMs: 100 },
      patienceMs: 3_000,
    });
    host.kill = () => Promise.resolve();
    await assert.rejects(tellStory(stage, host), {
      message:
        /^waited 3 s in vain for a beat that calls \S+ stopped and \S+ missing; the last .* drift missing \S+http$/,
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
  assert.match(told, /decky-004-http dies\n.*somebody removes container \S+decky-002-http\n/);
  assert.deepEqual(told.split("\n").filter((line) => line.length > 80), []);
});
