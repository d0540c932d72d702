import { checkDeckies } from "./decky_checks.ts";
import type { Topology } from "../document.ts";
import { checkDmz } from "./dmz.ts";
import { checkLans } from "./lan_checks.ts";
import { checkId } from "./name.ts";
import { excerpt, type Problem, problem } from "./problem.ts";

export { describeProblems, type Problem, type ProblemCode } from "./problem.ts";

const maximumLans = 1000;
const maximumContainers = 10_000;
const maximumAddresses = 100_000;

/**
 * Everything that keeps a topology from being applied; empty when nothing does. The codes and rules are
 * in docs/topology.md. A topology that is too large is checked no further.
 */
export function validateTopology(topology: Topology): Problem[] {
  const tooLarge = checkSize(topology);
  if (tooLarge.length > 0) return tooLarge;
  return [
    ...checkId(topology.id),
    ...checkDmz(topology),
    ...checkLans(topology.lans),
    ...checkDeckies(topology),
  ];
}

function checkSize({ id, lans, deckies }: Topology): Problem[] {
  const containers = deckies.reduce((sum, { services }) => sum + 1 + services.length, 0);
  const addresses = deckies.reduce((sum, { addressByLan }) => sum + addressByLan.size, 0);
  const sizes = [
    { place: "lans", count: lans.length, maximum: maximumLans, what: "LANs" },
    {
      place: "deckies",
      count: containers,
      maximum: maximumContainers,
      what: "deckies and services",
    },
    { place: "deckies", count: addresses, maximum: maximumAddresses, what: "addresses" },
  ];
  return sizes.filter(({ count, maximum }) => count > maximum).map((
    { place, count, maximum, what },
  ) =>
    problem(
      "TOO_LARGE",
      { what: `topology ${excerpt(id)}`, place },
      `it has ${count} ${what}; at most ${maximum} are taken`,
    )
  );
}
