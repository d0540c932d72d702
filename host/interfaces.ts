/** The bridges that Docker and Podman make; Podman leaves those of its old networks behind. */
const engineBridge = /^(?:docker\d+|br-[0-9a-f]{12}|podman\d+|cni-podman\d+)$/;

/**
 * The IPv4 addresses of this host's interfaces, but for those of engines; none where the system does
 * not tell.
 */
export function interfaceAddresses(): { interface: string; address: string }[] {
  try {
    return Deno.networkInterfaces()
      .filter(({ family, name }) => family === "IPv4" && !engineBridge.test(name))
      .map(({ name, address }) => ({ interface: name, address }));
  } catch {
    // A confined service may not be allowed to ask; what depends on this is one more precaution.
    return [];
  }
}
