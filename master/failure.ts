const distrust: ReadonlySet<string | undefined> = new Set([
  "CERT_HAS_EXPIRED",
  "CERT_NOT_YET_VALID",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
]);

/** Whether the master's certificate was not trusted: the runtime has one code for all reasons. */
export function isDistrust(error: unknown): boolean {
  return distrust.has((error as { code?: string }).code);
}

/** Nothing came back from the master's address, or from a name server, in that time. */
export function noConnection(timeoutMs: number): Error {
  return new Error(
    `no connection within ${timeoutMs / 1000} s; see master-host, and what filters packets between`,
  );
}

/** The master took the connection and then was silent for that time. */
export function noReply(timeoutMs: number): Error {
  return new Error(`no answer within ${timeoutMs / 1000} s; see what holds up the master`);
}

/** What a failed connection to the master means, in words for an operator. */
export function explainFailure(error: unknown): string {
  const { name, code, message } = error as { name?: string; code?: string; message?: string };
  if (name === "TimeoutError") return "no answer in time";
  if (message?.includes("InvalidContentType")) {
    return "it does not speak TLS there; swarmctl-port tells the port";
  }
  if (code?.includes("PROTOCOL_VERSION")) return "it speaks neither TLS 1.2 nor anything newer";
  if (code?.includes("_ALERT_")) {
    return `it refuses worker.crt: ${message} (${code}); take one from it anew`;
  }
  if (isDistrust(error)) {
    return `its certificate is not signed by ca.crt, or not valid now, which is ${
      new Date().toISOString()
    } by this host's clock (${code})`;
  }
  switch (code) {
    case "ENOTFOUND":
    case "EAI_AGAIN":
    case "EAI_FAIL":
    case "EAI_NONAME":
      return "its name cannot be resolved; see master-host, and this host's name servers";
    case "ECONNREFUSED":
      return "nobody listens there; start it, or see swarmctl-port";
    case "EHOSTUNREACH":
    case "ENETUNREACH":
      return "there is no way to that address; see master-host, and this host's routes";
    case "ECONNRESET":
    case "EPIPE":
      return "it closed the connection before it answered; it may not accept worker.crt";
    default:
      return code === undefined ? message ?? String(error) : `${message} (${code})`;
  }
}
