import { lockPathOf } from "../../store/mod.ts";
import { type Check, ok, warning } from "../check.ts";
import { quote } from "../files.ts";
import { describeHolder, type Holder, readHolder } from "../holder.ts";
import { unit } from "../service.ts";

/** From then on an apply takes longer than any master waits for it, in milliseconds. */
const longApplyMs = 600_000;

/** Who runs with this state, by what the lock files tell; neither of the locks is taken. */
export const lock: Check = {
  name: "lock",
  code: 3,
  async run(patient) {
    const loopPath = `${patient.stateDirectory}/agent.lock`;
    const applyPath = lockPathOf(patient.options.agent.storePath);
    const [loop, apply] = await Promise.all([loopPath, applyPath].map(readHolder));
    const saw = [
      loop ? describeHolder(loop, loopPath) : `no loop runs with ${loopPath}`,
      ...(apply ? [describeHolder(apply, applyPath)] : []),
    ];
    if (apply && apply.isThere !== false && ageOf(apply) > longApplyMs) {
      const long = "an apply or a teardown has been under way for over 10 minutes";
      return warning([long, ...saw], endCommand(applyPath));
    }
    const service = await patient.service();
    const isService = !service.hasSystemd || service.unit === null || service.isActive;
    if (loop && loop.isThere !== false && !isService) {
      const foreign = `agent.lock names a process that is none of ${unit}: another loop, beside ` +
        "which the service cannot start";
      const orDead = loop.isThere === null ? ", or one that was killed" : "";
      return warning([foreign + orDead, ...saw], endCommand(loopPath));
    }
    return ok(...saw);
  },
};

/** Ends who holds a lock; where nobody does, it empties the file that a killed process has left. */
export function endCommand(path: string): string {
  const file = quote(path);
  return `flock -n ${file} truncate -s 0 ${file} || fuser -k -TERM ${file}`;
}

function ageOf({ since }: Holder): number {
  return since === null ? 0 : Date.now() - since;
}
