import { Images } from "./images.ts";
import { type ContainerItem, idOf, network, type NetworkItem } from "./items.ts";
import { Refusal } from "./refusal.ts";

const predefined = new Map([["bridge", "bridge"], ["host", "host"], ["none", "null"]]);

/**
 * What an engine has. The items are never changed, only replaced: a test's own array stays as it is,
 * and an earlier state can be put back.
 */
export class EngineState {
  readonly images: Images;
  /** Container id → the body that it was created from. */
  readonly bodies = new Map<string, unknown>();
  readonly #onChange: () => void;
  #networks: readonly NetworkItem[] = [];
  #containers: readonly ContainerItem[] = [];

  /** `onChange` is called after each change. */
  constructor(onChange: () => void) {
    this.#onChange = onChange;
    this.images = new Images(onChange);
  }

  get networks(): readonly NetworkItem[] {
    return this.#networks;
  }
  set networks(networks: readonly NetworkItem[]) {
    this.#networks = networks;
    this.#onChange();
  }

  /** The newest first, as the engine lists them. */
  get containers(): readonly ContainerItem[] {
    return this.#containers;
  }
  set containers(containers: readonly ContainerItem[]) {
    this.#containers = containers;
    this.#onChange();
  }

  /** Keeps the state; the answer puts it back. */
  snapshot(): () => void {
    const [networks, containers] = [this.#networks, this.#containers];
    return () => {
      this.networks = networks;
      this.containers = containers;
    };
  }

  /** The network of that id, name or beginning of an id. Throws `Refusal` (404, 400). */
  network(reference: string): NetworkItem {
    const all = this.#networks;
    const exact = all.filter(({ Id }) => Id === reference);
    const named = all.filter(({ Name }) => Name === reference);
    const begun = all.filter(({ Id }) => Id.startsWith(reference));
    const [found, by] = exact.length > 0
      ? [exact, "ID"]
      : named.length > 0
      ? [named, "name"]
      : [begun, "ID prefix"];
    if (found.length > 1) {
      const count = `${found.length} matches found based on ${by}`;
      throw new Refusal(400, `network ${reference} is ambiguous (${count})`);
    }
    const item = found[0] ?? builtIn(reference);
    if (!item) throw new Refusal(404, `network ${reference} not found`);
    return item;
  }

  /** The network of that id, name or beginning of an id; undefined when it is not to be had. */
  findNetwork(reference: string): NetworkItem | undefined {
    try {
      return this.network(reference);
    } catch (error) {
      if (error instanceof Refusal) return undefined;
      throw error;
    }
  }

  /** The container of that id, name or beginning of an id. Throws `Refusal` (404, 500). */
  container(reference: string): ContainerItem {
    if (reference === "") throw new Refusal(400, 'invalid name or ID supplied: ""');
    const name = `/${reference.replace(/^\//, "")}`;
    const exact = this.#containers.find(({ Id }) => Id === reference) ??
      this.#containers.find(({ Names }) => Names.includes(name));
    if (exact) return exact;
    const begun = this.#containers.filter(({ Id }) => Id.startsWith(reference));
    if (begun.length > 1) {
      throw new Refusal(500, `Multiple IDs found with provided prefix: ${reference}`);
    }
    if (!begun[0]) throw new Refusal(404, `No such container: ${reference}`);
    return begun[0];
  }

  /** Puts a container of the same id in the place of the present one. */
  replace(container: ContainerItem): ContainerItem {
    const index = this.#containers.findIndex(({ Id }) => Id === container.Id);
    this.containers = this.#containers.with(index, container);
    return container;
  }
}

/** Whether the engine brings a network of this name along. */
export function isPredefined(name: string): boolean {
  return predefined.has(name) || name === "default";
}

/** The engine's own networks are there even when a test lists none. */
function builtIn(reference: string): NetworkItem | undefined {
  const name = [...predefined.keys()].find((name) => {
    return name === reference || idOf("network", name) === reference;
  });
  if (name === undefined) return undefined;
  const driver = predefined.get(name)!;
  return network({ name, driver, ...(name === "bridge" ? { subnet: "172.17.0.0/16" } : {}) });
}
