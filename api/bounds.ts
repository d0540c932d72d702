/** How much a client may take, and for how long. */
export interface Bounds {
  /** TCP connections at once. */
  readonly maximumConnections: number;
  /** Bytes of a request's line and headers. */
  readonly maximumHeaderBytes: number;
  readonly maximumBodyBytes: number;
  /** Until the TLS handshake is over, in milliseconds from the TCP connection on. */
  readonly handshakeTimeoutMs: number;
  /** For a request's line and headers, in milliseconds from the handshake or their first byte on. */
  readonly headerTimeoutMs: number;
  /** For a request's body, in milliseconds. */
  readonly bodyTimeoutMs: number;
  /** How long a connection is kept between two requests, in milliseconds. */
  readonly idleTimeoutMs: number;
  /** How long a stop waits for the answers that are due, in milliseconds. */
  readonly stopTimeoutMs: number;
}

/** The bounds that hold unless a test sets others. There is none for how long an answer takes. */
export const defaultBounds: Bounds = {
  maximumConnections: 16,
  maximumHeaderBytes: 16 * 1024,
  maximumBodyBytes: 8 * 2 ** 20,
  handshakeTimeoutMs: 5_000,
  headerTimeoutMs: 5_000,
  bodyTimeoutMs: 60_000,
  idleTimeoutMs: 60_000,
  stopTimeoutMs: 1_000,
};
