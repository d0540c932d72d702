/** The IPv4 addresses of this host's interfaces; none where the system does not tell. */
export function interfaceAddresses(): { interface: string; address: string }[] {
  try {
    return Deno.networkInterfaces().filter(({ family }) => family === "IPv4")
      .map(({ name, address }) => ({ interface: name, address }));
  } catch {
    // A confined service may not be allowed to ask; what depends on this is one more precaution.
    return [];
  }
}
