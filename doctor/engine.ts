import type { AgentOptions } from "../agent/mod.ts";
import { findSocket, type Observation, observe } from "../docker/mod.ts";
import { defaultPrefixes } from "./prefixes.ts";

const callTimeoutMs = 5_000;
const timeoutMs = 7_000;

/** What the engine answers. */
export type EngineFindings =
  | { readonly socket: string; readonly observation: Observation }
  | {
    readonly socket: string | null;
    readonly error: string;
    /** Whether its socket took the connection. */
    readonly isReached: boolean;
  };

const { errors } = Deno;
const unreached = [errors.NotFound, errors.PermissionDenied, errors.ConnectionRefused] as const;

type Options = Pick<AgentOptions, "sockets" | "networkPrefixes" | "containerPrefixes">;

/** Asks the engine once for all that a label or a prefix, the configured or a usual one, makes ours. */
export async function lookAtEngine(
  { sockets, networkPrefixes, containerPrefixes }: Options,
  signal: AbortSignal,
): Promise<EngineFindings> {
  let socket: string | null = null;
  try {
    socket = findSocket(sockets);
    const observation = await observe(signal, {
      socket,
      networkPrefixes: [...networkPrefixes, ...defaultPrefixes],
      containerPrefixes: [...containerPrefixes, ...defaultPrefixes],
      callTimeoutMs,
      timeoutMs,
    });
    return { socket, observation };
  } catch (error) {
    const { message, cause } = error as Error;
    const isReached = socket !== null && !unreached.some((type) => cause instanceof type);
    return { socket, error: message, isReached };
  }
}
