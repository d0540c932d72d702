/** What the engine runs, asked over its unix socket; `engine.ts` is the face for changing that. */
export { Crowd } from "./crowd.ts";
export { type EngineVersion, type Observation, observe, type ObserveOptions } from "./observe.ts";
export { isNamed, oursOf } from "./ours.ts";
export { findSocket, socketPath } from "./socket.ts";
export { Timers } from "./timers.ts";
