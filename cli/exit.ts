/** Exit codes and the words of monitoring plugins for them; a higher one is worse. */
export const statusWords = ["OK", "WARNING", "CRITICAL", "UNKNOWN"] as const;

/** 0 to 3. */
export type ExitCode = 0 | 1 | 2 | 3;

/** Something that is not as it should be. */
export interface Finding {
  readonly code: Exclude<ExitCode, 0>;
  readonly text: string;
}

/** The worst of the findings; 0 when there are none. */
export function worst(findings: readonly Finding[]): ExitCode {
  return findings.reduce<ExitCode>((code, finding) => finding.code > code ? finding.code : code, 0);
}
