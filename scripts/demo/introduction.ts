import { count } from "./beat_text.ts";
import type { Narrator } from "./narrator.ts";
import type { RealHost } from "./real_host.ts";

/** What is shown: the stand-ins, this machine's engine as it is, or an apply there. */
export type Mode = "stand-in" | "look" | "apply";

/** Says what is to be seen, and who is real. */
export function introduce(narrator: Narrator, mode: Mode, folder: string): void {
  narrator.tell(
    "decnet-agent makes a host full of decoys of what a master pushes, and tells the master what " +
      "runs there. Watch it at work:",
  );
  narrator.introduce({
    host: {
      "stand-in": "a stand-in: an engine of networks and containers that only seem to be there",
      look: "this machine; its engine is asked what runs, and nothing is changed",
      apply: "this machine; a small topology is made on its engine, and removed in the end",
    }[mode],
    agent: "the real one; you read its log, where only changes are noted, and its progress",
    master: "a stand-in that listens on 127.0.0.1, shows what it receives, and calls the agent",
  });
  narrator.tell(
    "A beat is what the agent reports: " +
      (mode === "look"
        ? "one every 0.8 s here, every 30 s in real life. "
        : "every 30 s, and at once when there is news, of which the engine tells it. ") +
      "Drift is how what runs differs from what was applied. " +
      `The demo writes to ${folder}${
        mode === "apply" ? " and the engine" : ""
      } only, and removes ` +
      "at the end what it made.",
  );
}

/** Says what will be made on the engine, before the first of it is made. */
export function announce(narrator: Narrator, { document, images }: RealHost): void {
  const { prefix, plan } = document;
  narrator.tell("");
  narrator.tell(
    `On this engine it makes ${count(plan.networks, "network")} and ` +
      `${count(plan.containers, "container")}, all called ${prefix}…, of images called ` +
      `${images.join(" and ")}. It removes all of them at the end, also at Ctrl-C, and touches ` +
      "nothing else.",
  );
}
