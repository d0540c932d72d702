/** What keeps a topology from being applied. Pure, no I/O. */
export { describeProblems, validateTopology } from "./validation.ts";
