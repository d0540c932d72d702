import { type Check, ok, skipped, warning } from "../check.ts";
import { isNamed } from "../../docker/mod.ts";

/** How the names of what any version of the agent has made begin. */
const usual = {
  "network-prefix": ["decnet_t_", "decnet-topology-"],
  "container-prefix": ["decnet_t_", "decnet-topology-"],
} as const;
/** How many names are written out. */
const namesShown = 3;

/** Whether the prefixes are those by which the objects of this host go. */
export const prefixes: Check = {
  name: "prefixes",
  code: 2,
  async run(patient) {
    const found = await patient.engine();
    if ("error" in found) return skipped("the engine does not answer");
    const { networkPrefixes, containerPrefixes } = patient.options.agent;
    const { networks, containers } = found.observation.inventory;
    const kinds = [
      ["network-prefix", networkPrefixes, networks.map(({ name }) => name)],
      ["container-prefix", containerPrefixes, containers.map(({ name }) => name)],
    ] as const;
    const saw: string[] = [];
    const settings: [key: keyof typeof usual, value: string][] = [];
    for (const [key, list, names] of kinds) {
      const missed = names.filter((name) => !isNamed(name, list) && isNamed(name, usual[key]));
      if (missed.length === 0) continue;
      const shown = missed.slice(0, namesShown).join(", ");
      const more = missed.length > namesShown ? ` and ${missed.length - namesShown} more` : "";
      saw.push(`${key} is ${list.join(",")}, by which ${shown}${more} would not be known as ours`);
      settings.push([key, wider(key, list, missed)]);
    }
    if (saw.length > 0) return warning(saw, patient.options.commandToSetAll(settings));
    return ok(
      `${networkPrefixes.join(",")} for networks`,
      `${containerPrefixes.join(",")} for containers`,
    );
  },
};

/** The configured prefixes, and those that are lacking. */
function wider(key: keyof typeof usual, list: readonly string[], missed: readonly string[]) {
  const lacking = usual[key].filter((prefix) => missed.some((name) => name.startsWith(prefix)));
  return [...list, ...lacking].join(",");
}
