import type { Beat } from "../agent/mod.ts";
import { type ExitCode, type Finding, statusWords, worst } from "./exit.ts";
import { summary } from "./once_text.ts";

/** The result of a check as an object for `--json` (docs/protocol.md). */
export function onceJson(beat: Beat, findings: readonly Finding[], storePath: string) {
  const { body, certificates, checkedAt } = beat;
  return {
    ...statusJson(worst(findings), summary(beat, findings)),
    agent_version: body.agent_version,
    host_uuid: body.host_uuid,
    checked_at: new Date(checkedAt).toISOString(),
    topology: body.topology,
    drift: body.topology ? body.topology.drift : null,
    store: { path: storePath, ...body.store },
    docker: dockerJson(beat),
    master: masterJson(beat),
    certificates: certificates && {
      expires_at: certificates.expiresAt === null
        ? null
        : new Date(certificates.expiresAt).toISOString(),
      problem: certificates.problem,
    },
  };
}

/** The first fields of every result. */
export function statusJson(code: ExitCode, summary: string) {
  return { status: statusWords[code], exit_code: code, summary };
}

function dockerJson({ stock: { socket, engine, observed } }: Beat) {
  const host = socket && `unix://${socket}`;
  if ("error" in observed) return { host, error: observed.error };
  return {
    host,
    version: engine!.version,
    api_version: engine!.apiVersion,
    latency_ms: rounded(engine!.latencyMs),
  };
}

function masterJson({ delivery }: Beat) {
  const sent = "httpStatus" in delivery ? delivery : null;
  return {
    url: "url" in delivery ? delivery.url : null,
    result: delivery.result,
    http_status: sent?.httpStatus ?? null,
    latency_ms: sent && sent.latencyMs !== null ? rounded(sent.latencyMs) : null,
    ...(sent?.error ? { error: sent.error } : {}),
  };
}

/** To a tenth of a millisecond: more would be noise. */
function rounded(ms: number): number {
  return Math.round(ms * 10) / 10;
}
