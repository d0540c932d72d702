import { topologyLabel } from "../topology/mod.ts";
import { isNamed, type Prefixes } from "./ours.ts";

/** The events after which the lists may say something else. Podman has `remove` where others destroy. */
const actions = [
  ...["create", "start", "die", "pause", "unpause", "rename", "destroy", "remove"],
  ...["health_status", "connect", "disconnect"],
  // Podman's alone: a container that has died gets its last state with these.
  ...["died", "cleanup"],
] as const;

const types: ReadonlySet<unknown> = new Set(["container", "network"]);
const known: ReadonlySet<string> = new Set(actions);
/** How many containers of others are kept in mind. */
const maximumStrangers = 4_096;
/** Ids have 64 characters. A longer one would take memory, and is not kept in mind. */
const maximumIdLength = 128;

/** What the engine is asked to tell; exec calls, health checks that go well and the like are not. */
export const eventFilters: string = JSON.stringify({ type: [...types], event: actions });

type Fields = Readonly<Record<string, unknown>>;

/**
 * Tells events of ours from those of others, which the engine cannot: its filters take a label and a
 * name, not one or the other, and events of networks have no labels at all.
 */
export class OwnEvents {
  readonly #prefixes: Prefixes;
  /** Ids of containers that are known not to be ours, the oldest first. */
  readonly #strangers = new Set<string>();

  constructor(prefixes: Prefixes) {
    this.#prefixes = prefixes;
  }

  /** Whether what is ours may have changed by the event in a line; what is not understood may. */
  matter(line: string): boolean {
    let event: Fields;
    try {
      event = fields(JSON.parse(line));
    } catch {
      return true;
    }
    const actor = fields(event.Actor);
    const attributes = fields(actor.Attributes);
    const [id, action] = [actor.ID, event.Action];
    if (typeof id !== "string" || typeof action !== "string") return true;
    // Health has its outcome behind a colon. Not every engine filters as it is asked to.
    const verb = action.split(":")[0]!;
    if (!types.has(event.Type) || !known.has(verb)) return false;
    return event.Type === "network"
      ? this.#mattersOfNetwork(verb, id, attributes)
      : this.#mattersOfContainer(verb, id, attributes);
  }

  #mattersOfContainer(verb: string, id: string, { name, oldName, ...labels }: Fields): boolean {
    if (typeof name !== "string") return true;
    if (topologyLabel in labels || this.#isOurs(name) || this.#isOurs(oldName)) {
      this.#strangers.delete(id);
      return true;
    }
    // Podman does not tell how the container was called before.
    const mayHaveBeenOurs = verb === "rename" && oldName === undefined && !this.#strangers.has(id);
    if (verb === "destroy" || verb === "remove") this.#strangers.delete(id);
    else this.#remember(id);
    return mayHaveBeenOurs;
  }

  /** Docker tells which container was tied to a network, Podman tells only that. */
  #mattersOfNetwork(verb: string, id: string, { container }: Fields): boolean {
    const isTie = verb === "connect" || verb === "disconnect";
    return !isTie || !this.#strangers.has(typeof container === "string" ? container : id);
  }

  #isOurs(name: unknown): boolean {
    return typeof name === "string" &&
      isNamed(name.replace(/^\//, ""), this.#prefixes.containerPrefixes);
  }

  #remember(id: string): void {
    if (id.length > maximumIdLength || this.#strangers.has(id)) return;
    if (this.#strangers.size === maximumStrangers) {
      this.#strangers.delete(this.#strangers.values().next().value!);
    }
    this.#strangers.add(id);
  }
}

function fields(value: unknown): Fields {
  return typeof value === "object" && value !== null ? value as Fields : {};
}
