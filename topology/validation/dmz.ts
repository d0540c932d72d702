import type { Decky, Lan, Topology } from "../document.ts";
import { describe, excerpt, named, type Problem, problem } from "./problem.ts";

const maximumNamed = 10;

/** Checks that there is one DMZ, and that every LAN has a path to it over deckies on several LANs. */
export function checkDmz({ id, lans, deckies }: Topology): Problem[] {
  if (lans.length === 0 && deckies.length === 0) return [];
  const topology = { what: `topology ${excerpt(id)}`, place: "lans" };
  const dmzs = lans.flatMap((lan, index) => lan.isDmz ? [{ name: lan.name, index }] : []);
  if (dmzs.length === 0) return [problem("DMZ_MISSING", topology, "no LAN has is_dmz")];

  const problems: Problem[] = [];
  if (dmzs.length > 1) {
    const listed = dmzs.slice(0, maximumNamed).map(({ name, index }) =>
      describe(named(name, `lans[${index}]`))
    );
    if (dmzs.length > maximumNamed) listed.push(`${dmzs.length - maximumNamed} more`);
    const fault = `only one LAN may have is_dmz, but ${listed.join(", ")} have it`;
    problems.push(problem("DMZ_MULTIPLE", topology, fault));
  }
  const reached = reachableLans(lans, deckies);
  for (const [index, { name }] of lans.entries()) {
    if (reached.has(name)) continue;
    const subject = named(name, `lans[${index}]`);
    const fault = "no deckies on several LANs make a path from it to the DMZ";
    problems.push(problem("DMZ_ORPHAN", subject, fault));
  }
  return problems;
}

/** The names of the LANs that can be reached from a DMZ, the DMZs among them. */
function reachableLans(lans: readonly Lan[], deckies: readonly Decky[]): Set<string> {
  const deckiesByLan = new Map<string, Set<Decky>>(lans.map(({ name }) => [name, new Set()]));
  for (const decky of deckies) {
    for (const lan of decky.addressByLan.keys()) deckiesByLan.get(lan)?.add(decky);
  }
  const reached = new Set(lans.filter(({ isDmz }) => isDmz).map(({ name }) => name));
  const passed = new Set<Decky>();
  // A set also visits what is added while it is being visited.
  for (const lan of reached) {
    for (const decky of deckiesByLan.get(lan) ?? []) {
      if (passed.has(decky)) continue;
      passed.add(decky);
      for (const neighbour of decky.addressByLan.keys()) reached.add(neighbour);
    }
  }
  return reached;
}
