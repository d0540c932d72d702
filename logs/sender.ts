/** What a sink has done since it was made. */
export interface SinkStatus {
  /** Lines that were written to the master; not those that were written again. */
  readonly sent: number;
  /** Lines that the master cannot take, and were not sent. */
  readonly heldBack: number;
  /** Lines that were too long, and were sent without their end. */
  readonly cut: number;
  /** When the oldest line was taken that is not written yet, in milliseconds since 1970, or null. */
  readonly waitingSince: number | null;
  /** Why the master cannot be reached; null when it can, or when no line has to be sent. */
  readonly problem: string | null;
}

/** Where lines go. */
export interface LineSink {
  /**
   * Takes a copy of a line, which has no line feed. Returns null when there is room for the next line,
   * else a promise that resolves then. Calls `onSafe` when the line need not be sent again, after
   * those of all earlier lines; also for a line that it holds back. Never throws.
   */
  send(line: Uint8Array, onSafe: () => void): Promise<void> | null;
  /**
   * Connects when there are lines, and sends them. When `signal` is aborted, writes what it has taken,
   * ends the connection in order and resolves within a second. Never throws.
   */
  run(signal: AbortSignal): Promise<void>;
  readonly status: SinkStatus;
}
