/** A stand-in for the Docker engine: HTTP/1.1 on a unix socket, down to faults in single bytes. */
export { FakeEngine, type ReceivedRequest } from "./fake_engine.ts";
export type { Fault } from "./faults.ts";
export type { Images } from "./images.ts";
export {
  container,
  type ContainerItem,
  type ContainerState,
  type EndpointItem,
  network,
  type NetworkItem,
} from "./items.ts";
export { containerOf, networkOf } from "./planned.ts";
export { listenWithoutAccepting } from "./silent.ts";
export { withEngine } from "./with_engine.ts";
