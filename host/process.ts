/** Calls `listener` at each SIGHUP; on a terminal, a SIGHUP still ends the process. */
export function onReload(listener: () => void): void {
  if (Deno.stderr.isTerminal()) return;
  Deno.addSignalListener("SIGHUP", listener);
}

/** Returns a signal that SIGTERM and SIGINT abort, instead of ending the process. */
export function stopSignal(): AbortSignal {
  const controller = new AbortController();
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    Deno.addSignalListener(signal, () => controller.abort(new Error("the agent is stopping")));
  }
  return controller.signal;
}

/** The bridges of Docker and Podman; Podman leaves those of removed networks behind. */
const engineBridge = /^(?:docker\d+|br-[0-9a-f]{12}|podman\d+|cni-podman\d+)$/;

/**
 * Returns the IPv4 addresses of this host's interfaces, such as 10.0.0.5/24, without the bridges of
 * engines. Throws `Error` when the system does not list them.
 */
export function interfaceAddresses(): { interface: string; cidr: string }[] {
  let all: Deno.NetworkInterfaceInfo[];
  try {
    all = Deno.networkInterfaces();
  } catch (cause) {
    const message = `Cannot ask for this host's addresses, which no LAN may take: ${
      cause instanceof Error ? cause.message : cause
    }; let the agent's unit use AF_NETLINK`;
    throw new Error(message, { cause });
  }
  return all
    .filter(({ family, name }) => family === "IPv4" && !engineBridge.test(name))
    .map(({ name, cidr }) => ({ interface: name, cidr }));
}

/** Waits for a time in milliseconds, or until `signal` is aborted. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<unknown>();
  const timer = setTimeout(resolve, ms);
  signal.addEventListener("abort", resolve, { once: true });
  if (!signal.aborted) await promise;
  clearTimeout(timer);
  signal.removeEventListener("abort", resolve);
}

/** Limits of one step of a connection. */
export interface StepLimits {
  /** In milliseconds. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** Waits until `begin` resolves or rejects. After the time, throws `late`, or returns if it is null. */
export async function waitFor(
  { timeoutMs, signal }: StepLimits,
  late: Error | null,
  begin: (ends: { resolve: () => void; reject: (error: unknown) => void }) => void,
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const timer = setTimeout(() => late === null ? resolve() : reject(late), timeoutMs);
  const abort = () => reject(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  if (signal.aborted) abort();
  try {
    begin({ resolve, reject });
    await promise;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", abort);
  }
}
