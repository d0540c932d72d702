/** What a running agent has done with the lines of its containers; also for other processes to read. */
export interface LogStatus {
  /** When this was so, in milliseconds since 1970. */
  readonly at: number;
  /** Lines sent since the agent started. */
  readonly sent: number;
  /** Lines that the master cannot take. */
  readonly heldBack: number;
  /** Lines that were too long, and were sent without their end. */
  readonly cut: number;
  /** How many times lines were missing that Docker had removed before they were read. */
  readonly gaps: number;
  /** The containers whose logs are read now. */
  readonly followed: number;
  /** Since when the oldest line waits, in milliseconds since 1970; null when none does. */
  readonly behindSince: number | null;
  /** Why lines are not sent or not read, or null. */
  readonly problem: string | null;
}

/** Lines that wait for longer are reported, in milliseconds. */
export const maximumBehindMs = 600_000;

/** Returns why lines wait for so long. */
export function lateReason(problem: string | null): string {
  return problem ?? "containers write more than can be sent";
}
