import { isImageReference } from "../image.ts";
import { excerpt, type Problem, problem, type Subject } from "./problem.ts";

/** What is wrong with a topology's id, if anything. */
export function checkId(id: string): Problem[] {
  if (/^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/.test(id)) return [];
  const subject = { what: `topology ${excerpt(id)}`, place: "topology.id" };
  return [problem("ID_MALFORMED", subject, `an id must ${nameRule(64)}`)];
}

/**
 * What is wrong with a name that becomes part of a Docker name, if anything. Docker takes no other
 * characters, and Linux no longer host name, which is what a decky's name becomes.
 */
export function checkName(name: string, subject: Subject): Problem[] {
  if (/^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/.test(name)) return [];
  return [problem("NAME_MALFORMED", subject, `a name must ${nameRule(63)}`)];
}

/** What is wrong with a Docker image reference, if anything. */
export function checkImage(image: string, subject: Subject): Problem[] {
  if (isImageReference(image)) return [];
  return [problem("NAME_MALFORMED", subject, `${excerpt(image)} is no Docker image reference`)];
}

function nameRule(length: number): string {
  return `be at most ${length} letters (A-Z, a-z), digits, "_", "." and "-", and begin with a letter ` +
    "or digit";
}
