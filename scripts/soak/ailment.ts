import type { Random } from "../random_document.ts";

/** One way to be, of something that the agent looks at. */
export interface Condition {
  readonly name: string;
  /** Makes it so. */
  readonly begin: () => Promise<void> | void;
  /** It is over at the next step. */
  readonly isShort?: boolean;
  /** Costs seconds, and so comes up only once in so many steps, when all else is well. */
  readonly onceIn?: number;
}

/** Something that the agent looks at, and how it can be. */
export interface Subject {
  readonly well: Condition;
  readonly unwell: readonly Condition[];
  /** About how many subjects a change can make the agent's log speak, the master's apart. */
  readonly linesPerChange: number;
}

/** How long something stays well, and unwell, in steps: 1 to this. */
const longestWell = 24;
const longestUnwell = 10;

/** Lets something be well for a while, then unwell in one way or another, then well again. */
export class Ailment {
  /** Name of each condition → how often it has come. */
  readonly counts = new Map<string, number>();
  /** How many lines the changes so far may have brought about. */
  lines = 0;
  readonly #subject: Subject;
  readonly #random: Random;
  #now: Condition;
  #steps = 0;
  #stepsLeft = 1;

  /** It must be well now. */
  constructor(subject: Subject, random: Random) {
    this.#subject = subject;
    this.#now = subject.well;
    this.#random = random;
    for (const { name } of subject.unwell) this.counts.set(name, 0);
  }

  /** Lets a step pass. */
  async step(): Promise<void> {
    const { well, unwell } = this.#subject;
    this.#steps++;
    const rare = unwell.find(({ name, onceIn = Infinity }) => {
      return this.#steps >= onceIn * (1 + this.counts.get(name)!);
    });
    if (rare && this.#now === well) return await this.#become(rare);
    if (--this.#stepsLeft > 0) return;
    if (this.#now !== well) return await this.#become(well);
    const common = unwell.filter(({ onceIn }) => onceIn === undefined);
    await this.#become(common[Math.floor(this.#random() * common.length)]!);
  }

  /** Makes it well. */
  async heal(): Promise<void> {
    if (this.#now !== this.#subject.well) await this.#become(this.#subject.well);
  }

  async #become(next: Condition): Promise<void> {
    const isShort = next.isShort || next.onceIn !== undefined;
    const longest = isShort ? 1 : next === this.#subject.well ? longestWell : longestUnwell;
    this.#stepsLeft = 1 + Math.floor(this.#random() * longest);
    this.#now = next;
    this.lines += this.#subject.linesPerChange;
    if (this.counts.has(next.name)) this.counts.set(next.name, this.counts.get(next.name)! + 1);
    await next.begin();
  }
}
