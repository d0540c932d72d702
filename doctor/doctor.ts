import { authority, certificates, clock, validity } from "./certificates.ts";
import { type Check, type DoctorContext, failed, ok, type Result, warning } from "./context.ts";
import { drift, engine, prefixes, socket } from "./engine.ts";
import { api, masterConnection, masterName, masterTls } from "./master.ts";
import { agentUser, lock, otherAgents, service } from "./service.ts";
import { stateDirectory, store, textfile } from "./storage.ts";

/** When the time of all checks is up, in milliseconds. */
const examinationTimeoutMs = 12_000;

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
  context: DoctorContext,
  checks: readonly Check[],
  timeoutMs = examinationTimeoutMs,
): AsyncGenerator<Finding> {
  const { promise: timeUp, resolve } = Promise.withResolvers<Result>();
  const timer = setTimeout(() => {
    const text = `no result within ${timeoutMs / 1000} s: something on this host hangs`;
    resolve(failed(text, reportOf(context)));
  }, timeoutMs);
  try {
    const running = checks.map((check) => Promise.race([run(check, context), timeUp]));
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

async function run(check: Check, context: DoctorContext): Promise<Result> {
  try {
    return await check.run(context);
  } catch (error) {
    return failed(`Check failed: ${(error as Error).message}`, reportOf(context));
  }
}

/** How to see more. The agent's user is not looked up: that may be what hangs. */
function reportOf({ options }: DoctorContext): string {
  return `look at the host without this check: ${options.lineOf("--once", "--json")}`;
}

/** What is set, by what, and what of it cannot be. */
const configuration: Check = {
  name: "configuration",
  code: 3,
  run({ options: { settings, problems } }) {
    const details = [
      ...problems.map(({ text }) => text),
      ...settings.map(({ key, text }) => `${key} = ${text}`),
    ];
    const [first] = problems;
    if (!first) {
      return details.length > 0 ? ok(...details) : ok("nothing is set: all is by default");
    }
    return first.isWarning ? warning(details, first.fix) : failed(details, first.fix);
  },
};

/** What runs, and as whom. */
const runtime: Check = {
  name: "runtime",
  code: 3,
  async run(context) {
    const { agent, deno, sqlite } = context.options.versions;
    const { name, uid } = context.user;
    const details = [
      `decnet-agent ${agent} on Deno ${deno} with SQLite ${sqlite}`,
      `user ${name} (${uid})`,
    ];
    const user = await agentUser(context);
    if (user.uid !== uid) {
      const line = context.options.lineOf("doctor");
      details.push(
        `the service runs as ${user.name}; to see what it may do, as that user: ${line}`,
      );
    }
    return ok(...details);
  },
};

/** All checks, in the order of the report: what others need comes first. */
export const checks: readonly Check[] = [
  runtime,
  clock,
  configuration,
  stateDirectory,
  store,
  lock,
  socket,
  engine,
  prefixes,
  drift,
  certificates,
  authority,
  validity,
  masterName,
  masterConnection,
  masterTls,
  api,
  textfile,
  service,
  otherAgents,
];
