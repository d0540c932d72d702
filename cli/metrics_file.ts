import type { Beat, Delivery } from "../agent/mod.ts";
import type { Log } from "../host/mod.ts";
import { TextFiles } from "../host/textfile.ts";
import type { ExitCode } from "./exit.ts";
import { metricsText } from "./metrics.ts";

/** Writes the metrics of one check; answers why it cannot, or null. */
export async function writeMetrics(
  path: string,
  beat: Beat,
  code: ExitCode,
): Promise<string | null> {
  const files = await TextFiles.load();
  return problemOf(() => files.replace(path, metricsText(beat, { code, loop: null })));
}

/** The file of metrics that a loop keeps up to date, wherever it is. */
export class MetricsFile {
  /** Whether the API listens; null when it is not to. */
  isListening: boolean | null = null;
  readonly #files: TextFiles;
  readonly #log: Log;
  readonly #startedAt: number;
  readonly #beats = new Map<Delivery["result"], number>(
    (["delivered", "rejected", "unreachable", "not_configured"] as const).map((it) => [it, 0]),
  );
  #path: string | null = null;
  #lastSuccessAt = 0;
  #problem: string | null = null;

  private constructor(files: TextFiles, { log, startedAt }: { log: Log; startedAt: number }) {
    this.#files = files;
    this.#log = log;
    this.#startedAt = startedAt;
  }

  /** A file that is nowhere yet; `startedAt` in milliseconds since 1970. */
  static async create(options: { log: Log; startedAt: number }): Promise<MetricsFile> {
    return new MetricsFile(await TextFiles.load(), options);
  }

  /** Has it written there from now on; null: nowhere. What was written stays where it is. */
  moveTo(path: string | null): void {
    if (path !== this.#path) this.#problem = null;
    this.#path = path;
  }

  /** Counts a beat, and writes. What keeps it from writing is logged once. Never throws. */
  note(beat: Beat, code: ExitCode): void {
    const { delivery: { result }, checkedAt } = beat;
    this.#beats.set(result, (this.#beats.get(result) ?? 0) + 1);
    if (result === "delivered") this.#lastSuccessAt = checkedAt;
    this.write(beat, code);
  }

  /** Writes what a beat would tell that is not sent, and so not counted. Never throws. */
  write(beat: Beat, code: ExitCode): void {
    const path = this.#path;
    if (path === null) return;
    const loop = {
      startedAt: this.#startedAt,
      lastSuccessAt: this.#lastSuccessAt,
      beats: this.#beats,
      isListening: this.isListening,
    };
    const problem = problemOf(() => this.#files.replace(path, metricsText(beat, { code, loop })));
    if (problem !== this.#problem) {
      if (problem !== null) this.#log("warn", problem, { subject: "textfile" });
      else this.#log("info", "the metrics are written again");
    }
    this.#problem = problem;
  }
}

function problemOf(work: () => void): string | null {
  try {
    work();
    return null;
  } catch (error) {
    return (error as Error).message;
  }
}
