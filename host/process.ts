/**
 * Writes text to standard output or error; answers whether somebody who wants it may have missed it.
 * Never throws: a full disk or a reader that has gone must not end a loop that runs for months.
 */
export function writeText(
  stream: { writeSync(bytes: Uint8Array): number },
  text: string,
): "written" | "lost" {
  try {
    let bytes = new TextEncoder().encode(text);
    while (bytes.length > 0) bytes = bytes.subarray(stream.writeSync(bytes));
    return "written";
  } catch (error) {
    // Who reads has gone of his own will, as `head` does.
    return error instanceof Deno.errors.BrokenPipe ? "written" : "lost";
  }
}

/**
 * Calls `listener` at each SIGHUP, which from now on does not kill the process. On a terminal it means
 * as ever that the terminal has gone, and ends it.
 */
export function onReload(listener: () => void): void {
  if (Deno.stderr.isTerminal()) return;
  Deno.addSignalListener("SIGHUP", listener);
}

/** A signal that SIGTERM and SIGINT abort; from now on they do not kill the process. */
export function stopSignal(): AbortSignal {
  const controller = new AbortController();
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    Deno.addSignalListener(signal, () => controller.abort(new Error("the agent is stopping")));
  }
  return controller.signal;
}

/** The bridges that Docker and Podman make; Podman leaves those of its old networks behind. */
const engineBridge = /^(?:docker\d+|br-[0-9a-f]{12}|podman\d+|cni-podman\d+)$/;

/**
 * The IPv4 addresses of this host's interfaces, but for those of engines. Throws `Error` where the
 * system does not tell.
 */
export function interfaceAddresses(): { interface: string; address: string }[] {
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
    .map(({ name, address }) => ({ interface: name, address }));
}
