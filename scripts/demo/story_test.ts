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
      narrator: new Narrator({ write: (text) => told += text, width: 100, coloured: false }),
      signal: ending.signal,
      onError: (error) => ending.abort(error),
      socket: host.socket,
    });
    host.setState = () => {};
    await assert.rejects(tellStory(stage, host), {
      message: /^waited 5 s in vain for a beat that calls \S+ stopped; the last .* drift none$/,
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
  assert.match(told, /decky-004-http exits\n$/);
});
