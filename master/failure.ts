/** What a failed connection to the master means, in words for an operator. */
export function explainFailure(error: unknown): string {
  const { name, code, message } = error as { name?: string; code?: string; message?: string };
  if (name === "TimeoutError") return "no answer in time";
  switch (code) {
    case "ENOTFOUND":
    case "EAI_AGAIN":
    case "EAI_FAIL":
    case "EAI_NONAME":
      return "its name cannot be resolved";
    case "ECONNREFUSED":
      return "nobody listens there";
    case "EHOSTUNREACH":
    case "ENETUNREACH":
      return "there is no way to that address";
    case "ECONNRESET":
    case "EPIPE":
      return "it closed the connection; it may not accept worker.crt";
    case "ERR_TLS_CERT_ALTNAME_INVALID":
      return `${message}; master-name tells which name to expect`;
    case "ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED":
      return "it did not receive worker.crt";
    case "CERT_HAS_EXPIRED":
    case "CERT_NOT_YET_VALID":
    case "DEPTH_ZERO_SELF_SIGNED_CERT":
    case "SELF_SIGNED_CERT_IN_CHAIN":
    case "UNABLE_TO_GET_ISSUER_CERT":
    case "UNABLE_TO_GET_ISSUER_CERT_LOCALLY":
    case "UNABLE_TO_VERIFY_LEAF_SIGNATURE":
      return `its certificate is not signed by ca.crt, or not valid now, which is ${
        new Date().toISOString()
      } by this host's clock (${code})`;
    default:
      return code === undefined ? message ?? String(error) : `${message} (${code})`;
  }
}
