import { type Check, failed, type Result } from "./check.ts";
import type { Patient } from "./patient.ts";

/** When the time of all checks is up, in milliseconds. */
export const examinationTimeoutMs = 12_000;

/** A check and what it has found. */
export interface Finding {
  readonly check: Check;
  readonly result: Result;
}

/**
 * Runs all checks side by side, and gives what they find in their order, each as soon as it is known.
 * One that has no result when the time is up, or that throws, has failed.
 */
export async function* examine(
  patient: Patient,
  checks: readonly Check[],
  timeoutMs = examinationTimeoutMs,
): AsyncGenerator<Finding> {
  const { promise: timeUp, resolve } = Promise.withResolvers<Result>();
  const timer = setTimeout(() => {
    const text = `no result within ${timeoutMs / 1000} s: something on this host hangs`;
    resolve(failed(text, reportOf(patient)));
  }, timeoutMs);
  try {
    const running = checks.map((check) => Promise.race([run(check, patient), timeUp]));
    for (const [index, check] of checks.entries()) {
      yield { check, result: await running[index]! };
    }
  } finally {
    clearTimeout(timer);
  }
}

/** 0 when all is well, 1 for warnings, else what the worst failure asks for. */
export function exitCodeOf(findings: readonly Finding[]): 0 | 1 | 2 | 3 {
  const codes = findings.map(({ check, result }) =>
    result.state === "failed" ? check.code : result.state === "warning" ? 1 : 0
  );
  return codes.reduce<0 | 1 | 2 | 3>((worst, code) => code > worst ? code : worst, 0);
}

async function run(check: Check, patient: Patient): Promise<Result> {
  try {
    return await check.run(patient);
  } catch (error) {
    return failed(`Cannot look at it: ${(error as Error).message}`, reportOf(patient));
  }
}

/** What tells more. As whom is not looked up: that may be what hangs. */
function reportOf({ options }: Patient): string {
  return options.lineOf("--once", "--json");
}
