import type { Socket } from "node:net";
import type { AgentOptions } from "../agent/mod.ts";
import { connectTo, type Handshake, HandshakeFailure, shakeHands } from "../master/handshake.ts";
import type { Identity } from "./identity.ts";

const nameTimeoutMs = 3_000;
const connectTimeoutMs = 3_000;
const handshakeTimeoutMs = 3_000;
const usualSettleMs = 1_000;

/** How far one got on the way to the master; a step that is absent was not reached. */
export interface MasterFindings {
  readonly addresses?: readonly string[] | { readonly error: string };
  readonly connection?: { readonly ms: number } | {
    readonly error: string;
    readonly code: string | null;
  };
  readonly handshake?: Handshake | HandshakeFailure;
}

/** Goes to the master step by step, on one connection, and sends it no request. */
export async function lookAtMaster(
  { master }: Pick<AgentOptions, "master">,
  identity: Identity,
  { signal, settleMs = usualSettleMs }: { signal: AbortSignal; settleMs?: number | undefined },
): Promise<MasterFindings> {
  if (!master) return {};
  const addresses = await resolve(master.host);
  if ("error" in addresses) return { addresses };
  const startedAt = performance.now();
  let tcp: Socket;
  try {
    tcp = await connectTo(master, { timeoutMs: connectTimeoutMs, signal });
  } catch (error) {
    const { code = null } = (error as Error).cause as { code?: string };
    return { addresses, connection: { error: (error as Error).message, code } };
  }
  const connection = { ms: performance.now() - startedAt };
  if ("problem" in identity) {
    tcp.destroy();
    return { addresses, connection };
  }
  const bounds = { timeoutMs: handshakeTimeoutMs, settleMs, signal };
  try {
    const handshake = await shakeHands(tcp, master, identity.certificates, bounds);
    return { addresses, connection, handshake };
  } catch (error) {
    return { addresses, connection, handshake: error as HandshakeFailure };
  }
}

async function resolve(host: string): Promise<readonly string[] | { readonly error: string }> {
  const [{ lookup }, { isIP }] = await Promise.all([import("node:dns"), import("node:net")]);
  if (isIP(host)) return [];
  const { promise, resolve } = Promise.withResolvers<readonly string[] | { error: string }>();
  const timer = setTimeout(() => {
    resolve({ error: `the name servers have not answered within ${nameTimeoutMs / 1000} s` });
  }, nameTimeoutMs);
  lookup(host, { all: true }, (error, found) => {
    if (error || found.length === 0) resolve({ error: "its name cannot be resolved" });
    else resolve(found.map(({ address }) => address));
  });
  return await promise.finally(() => clearTimeout(timer));
}
