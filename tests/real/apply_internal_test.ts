import assert from "node:assert/strict";
import { requirement } from "../requirements.ts";
import { testerOf } from "./apply_setup.ts";
import { Outside } from "./outside.ts";
import { engineAnswers } from "./playground.ts";
import { dockerSocket } from "./sockets.ts";

const test = testerOf(requirement(
  `a Docker engine at ${dockerSocket}, root, ip and nsenter`,
  await Outside.isPossible() && await engineAnswers(dockerSocket),
));

test("Applier.apply() gives a way out to who is in the DMZ, and to nobody else", async (setup) => {
  const { playground, name } = setup;
  await setup.apply({
    lans: { dmz: 0, inside: 1 },
    deckies: {
      front: { on: { dmz: 2 }, services: ["http"] },
      gate: { on: { dmz: 3, inside: 3 }, forwards: true },
      back: { on: { inside: 2 }, services: ["smb"] },
    },
  });
  const outside = await Outside.make(playground);
  const names = ["front", "front-http", "gate", "back", "back-smb"];
  const answers = await Promise.all(names.map((it) => outside.answers(name(it))));
  assert.deepEqual(answers, [true, true, true, false, false]);
});
