import { checkAuthority, checkCertificates, checkClock, checkValidity } from "./certificates.ts";
import { type Check, type DoctorContext, failed, ok, type Result, warning } from "./context.ts";
import { checkDrift, checkEngine, checkSocket } from "./engine.ts";
import { checkApi, checkLogListener, checkMaster } from "./master.ts";
import { checkLock, checkOtherAgents, checkService } from "./service.ts";
import { messageOf } from "../host/log.ts";
import { checkStateDirectory, checkStore, checkTextfile } from "./storage.ts";

/** The time for all checks together, in milliseconds. */
const examinationTimeoutMs = 12_000;

/** A check and what it has found. */
export interface Finding {
  readonly check: Check;
  readonly result: Result;
}

/**
 * Runs all checks at the same time and yields their findings in the order of `checks`. A check that
 * throws, or has no result within `timeoutMs`, has failed.
 */
export async function* examine(
  context: DoctorContext,
  checks: readonly Check[],
  timeoutMs = examinationTimeoutMs,
): AsyncGenerator<Finding> {
  const fix = `check the host without the doctor: ${context.config.lineOf("--once", "--json")}`;
  const failure = (why: string) => failed(`Check failed: ${why}`, fix);
  const running = checks.map(async (check) => await check.run(context));
  let index = 0;
  for await (const result of inOrder(running, failure, timeoutMs)) {
    yield { check: checks[index++]!, result };
  }
}

/**
 * Yields results in their order, and what `failure` makes of the reason in place of each that was
 * rejected, or has not come within `timeoutMs`.
 */
export async function* inOrder<T>(
  running: readonly Promise<T>[],
  failure: (why: string) => T,
  timeoutMs: number,
): AsyncGenerator<T> {
  const results = running.map((it) => it.catch((error) => failure(messageOf(error))));
  const { promise: timeUp, resolve } = Promise.withResolvers<T>();
  const late = `no result within ${timeoutMs / 1000} s: something on this host hangs`;
  const timer = setTimeout(() => resolve(failure(late)), timeoutMs);
  try {
    for (const result of results) yield await Promise.race([result, timeUp]);
  } finally {
    clearTimeout(timer);
  }
}

/** Returns 0 when all is well, 1 after warnings, else the highest code of the failed checks. */
export function exitCodeOf(findings: readonly Finding[]): 0 | 1 | 2 | 3 {
  const codes = findings.map(({ check, result }) =>
    result.state === "failed" ? check.code : result.state === "warning" ? 1 : 0
  );
  return codes.reduce<0 | 1 | 2 | 3>((worst, code) => code > worst ? code : worst, 0);
}

/** Reports which keys are set, where, and which values are wrong. */
function checkConfiguration({ config: { settings, problems } }: DoctorContext): Result {
  const details = [
    ...problems.map(({ text }) => text),
    ...settings.map(({ key, text }) => `${key} = ${text}`),
  ];
  const [first] = problems;
  if (!first) {
    return details.length > 0 ? ok(...details) : ok("no key is set: all have their defaults");
  }
  return first.isWarning ? warning(details, first.fix) : failed(details, first.fix);
}

/** Reports the versions and the user. */
function checkRuntime(context: DoctorContext): Result {
  const { agent, deno, sqlite } = context.options.versions;
  const { name, uid } = context.user;
  const details = [
    `decnet-agent ${agent} on Deno ${deno} with SQLite ${sqlite}`,
    `user ${name} (${uid})`,
  ];
  const user = context.agentUser;
  if (user.uid !== uid) {
    const line = context.config.lineOf("doctor");
    details.push(`the service runs as ${user.name}; to see what it may do, as that user: ${line}`);
  }
  return ok(...details);
}

/** All checks, in the order of the report: causes before consequences. */
export const checks: readonly Check[] = [
  { name: "runtime", code: 3, run: checkRuntime },
  { name: "clock", code: 3, run: (context) => checkClock(context) },
  { name: "configuration", code: 3, run: checkConfiguration },
  { name: "state-dir", code: 3, run: checkStateDirectory },
  { name: "store", code: 3, run: checkStore },
  { name: "lock", code: 3, run: checkLock },
  { name: "socket", code: 2, run: checkSocket },
  { name: "engine", code: 2, run: checkEngine },
  { name: "drift", code: 2, run: checkDrift },
  { name: "certificates", code: 3, run: checkCertificates },
  { name: "authority", code: 3, run: checkAuthority },
  { name: "validity", code: 3, run: checkValidity },
  { name: "master", code: 2, run: checkMaster },
  { name: "log-listener", code: 2, run: checkLogListener },
  { name: "api", code: 3, run: checkApi },
  { name: "textfile", code: 3, run: checkTextfile },
  { name: "service", code: 3, run: checkService },
  { name: "other-agents", code: 3, run: checkOtherAgents },
];
