import type { Site } from "./site.ts";

/** Something that must hold of the service. */
export interface Check {
  readonly name: string;
  /** Throws when it does not hold; answers what was seen. */
  readonly run: (site: Site) => Promise<string>;
}
