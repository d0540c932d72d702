import { sanitizeLine } from "../../host/log.ts";

/** Who a line is about. */
type Speaker = "host" | "agent" | "master";

/** A label and what it stands for, on a line of its own below what is said. */
export type Detail = readonly [label: string, value: string];

/** Where the lines go and how they look there. */
interface NarratorOptions {
  readonly write: (text: string) => void;
  /** Columns of the longest line. */
  readonly width: number;
  readonly coloured: boolean;
}

const colours: Readonly<Record<Speaker, number>> = { host: 33, agent: 36, master: 35 };
const bold = 1;
const dim = 2;
/** Columns of time and speaker. */
const margin = 19;
const labelWidth = 12;

/** Prints what happens, as it happens, with the time since it began to. */
export class Narrator {
  readonly #options: NarratorOptions;
  readonly #startedAt = performance.now();

  constructor(options: NarratorOptions) {
    this.#options = options;
  }

  /** The time since the beginning, e.g. `1.2 s`. */
  get elapsed(): string {
    return `${((performance.now() - this.#startedAt) / 1000).toFixed(1)} s`;
  }

  /** Text without a speaker. */
  tell(text: string): void {
    this.#print(wrap(text, this.#options.width));
  }

  /** Who the speakers are. */
  introduce(speakers: Readonly<Record<Speaker, string>>): void {
    this.#print([""]);
    for (const [speaker, text] of Object.entries(speakers)) {
      const [first, ...more] = wrap(text, this.#options.width - 10);
      this.#print([
        `  ${this.#name(speaker as Speaker)}  ${first}`,
        ...more.map((line) => " ".repeat(10) + line),
      ]);
    }
    this.#print([""]);
  }

  /** A new part of the story. */
  title(text: string): void {
    this.#print(["", this.#paint(bold, text)]);
  }

  /** Something that happens now. */
  say(speaker: Speaker, text: string, details: readonly Detail[] = []): void {
    const time = this.elapsed.padStart(9);
    const width = this.#options.width - margin;
    const [first, ...more] = wrap(text, width);
    const below = details.flatMap(([label, value]) => {
      const [first, ...more] = wrap(value, width - labelWidth);
      return [label.padEnd(labelWidth) + first, ...more.map((line) => " ".repeat(12) + line)];
    });
    this.#print([
      `${this.#paint(dim, time)}  ${this.#name(speaker)}  ${first}`,
      ...[...more, ...below].map((line) => " ".repeat(margin) + line),
    ]);
  }

  /** Lines that belong to what was said; each is cut off, not broken, as places matter in them. */
  show(lines: readonly string[]): void {
    const width = this.#options.width - margin;
    this.#print(lines.map((line) => " ".repeat(margin) + sanitizeLine(line).slice(0, width)));
  }

  #name(speaker: Speaker): string {
    return this.#paint(colours[speaker], speaker.padEnd(6));
  }

  #paint(code: number, text: string): string {
    return this.#options.coloured ? `\x1b[${code}m${text}\x1b[0m` : text;
  }

  #print(lines: readonly string[]): void {
    this.#options.write(lines.map((line) => `${line}\n`).join(""));
  }
}

/**
 * Breaks a text at its spaces, and in a word only when that is longer than a line. What would move
 * the cursor or colour the terminal becomes a space.
 */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of sanitizeLine(text).split(" ")) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = "";
    }
    line = line === "" ? word : `${line} ${word}`;
    for (; line.length > width; line = line.slice(width)) lines.push(line.slice(0, width));
  }
  return [...lines, line];
}
