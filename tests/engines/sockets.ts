import { type Requirement, requirement } from "../support/requirements.ts";
import { engineAnswers } from "./playground.ts";

/** The Docker engine that tests may use: `$DOCKER_TEST_SOCKET`, else the usual socket. */
export const dockerSocket = Deno.env.get("DOCKER_TEST_SOCKET") ?? "/var/run/docker.sock";
/** The Podman that tests may use: `$PODMAN_TEST_SOCKET`; empty when it is not set. */
export const podmanSocket = Deno.env.get("PODMAN_TEST_SOCKET") ?? "";

/** Asks for a Docker engine at `dockerSocket`. */
export async function needsDocker(): Promise<Requirement> {
  return requirement(`a Docker engine at ${dockerSocket}`, await engineAnswers(dockerSocket));
}

/** Asks for Podman's service at `podmanSocket`. */
export async function needsPodman(): Promise<Requirement> {
  const isThere = podmanSocket !== "" && await engineAnswers(podmanSocket);
  return requirement(`Podman's service at ${podmanSocket || "$PODMAN_TEST_SOCKET"}`, isThere);
}
