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
