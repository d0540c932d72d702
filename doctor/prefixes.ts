/** How names begin that any version of the agent, or the master's older deployments, have given. */
export const defaultPrefixes: readonly string[] = ["decnet_t_", "decnet-topology-"];
