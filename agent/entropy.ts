/**
 * Lets the runtime gather the entropy of its first TLS connection in another thread. Gathering takes
 * some 25 ms, and would otherwise begin with the connection and hold up everything. The key is not
 * used.
 */
export async function gatherEntropy(): Promise<void> {
  try {
    await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, false, ["sign"]);
  } catch {
    // The connection will tell what is wrong.
  }
}
