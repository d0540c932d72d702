/** The engine, spoken to over its unix socket: what it runs, and changing that. */
export { Engine, type EngineOptions } from "./engine.ts";
export { EngineError } from "./failure.ts";
export { type EngineVersion, type Observation, observe, type ObserveOptions } from "./observe.ts";
export { findSocket, socketPath } from "./socket.ts";
export { Timers } from "./timers.ts";
