import { requirement } from "../requirements.ts";

/** The library that feigns the time; null when it is not installed. */
const library = findLibrary();

/** What tests with another time need. */
export const faketime = requirement("faketime", library !== null);

/** A wall clock for one program, which can be set while it runs. */
export class WallClock {
  readonly #path: string;

  constructor(folder: string) {
    this.#path = `${folder}/wall-clock`;
    this.set("+0");
  }

  /** Sets it, by the time that it is: `+365d`. The monotonic clock stays as it is. */
  set(offset: string): void {
    // Renamed, so that it is never read half written.
    Deno.writeTextFileSync(`${this.#path}.new`, `${offset}\n`);
    Deno.renameSync(`${this.#path}.new`, this.#path);
  }

  /** What starts a program with this clock. */
  get wrapper(): string[] {
    return feign(
      `FAKETIME_TIMESTAMP_FILE=${this.#path}`,
      "FAKETIME_NO_CACHE=1",
      "FAKETIME_DONT_FAKE_MONOTONIC=1",
    );
  }
}

/** What starts a program for which all time passes so many times as fast. */
export function hurried(factor: number): string[] {
  return feign(`FAKETIME=+0 x${factor}`);
}

function feign(...settings: string[]): string[] {
  return ["env", `LD_PRELOAD=${library}`, ...settings];
}

function findLibrary(): string | null {
  const folders = [...Deno.readDirSync("/usr/lib")].filter(({ isDirectory }) => isDirectory)
    .map(({ name }) => `/usr/lib/${name}/faketime`);
  for (const folder of ["/usr/lib/faketime", ...folders]) {
    const path = `${folder}/libfaketime.so.1`;
    try {
      if (Deno.statSync(path).isFile) return path;
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  return null;
}
