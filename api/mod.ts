/** The agent's HTTPS listener, through which the master calls it. */
export { type ApiOptions, ApiServer } from "./server.ts";
export type { ApiService } from "./service.ts";
export { TopologyService } from "./topology_service.ts";
