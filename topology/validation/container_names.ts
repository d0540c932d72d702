import type { Decky } from "../document.ts";
import { describe, excerpt, named, type Problem, problem, type Subject } from "./problem.ts";

/** Of a decky and a service, both as long as can be. */
const maximumLength = 63 + 1 + 63;

interface Container {
  readonly subject: Subject;
  readonly decky: Decky;
  /** Undefined for the decky's base container. */
  readonly service: string | undefined;
}

/** The names that containers get, `<decky>` and `<decky>-<service>`, each with the first to get it. */
export class ContainerNames {
  readonly #firstByName = new Map<string, Container>();

  /** Takes the names of a decky's containers; a problem for each that is taken already. */
  take(decky: Decky, index: number): Problem[] {
    const place = `deckies[${index}]`;
    const base = {
      subject: named(decky.name, `${place}.name`),
      decky,
      service: undefined,
    };
    const services = decky.services.map((service, at) => ({
      subject: serviceSubject(decky, service, { place: `${place}.services[${at}]` }),
      decky,
      service,
    }));
    const ownByName = new Map<string, Container>();
    return [base, ...services].flatMap((container) => this.#take(container, ownByName));
  }

  #take(container: Container, ownByName: Map<string, Container>): Problem[] {
    const { decky, service, subject } = container;
    const name = service === undefined ? decky.name : `${decky.name}-${service}`;
    // Longer ones are malformed, and thousands that begin with one huge name take too long to compare.
    if (name.length > maximumLength) return [];
    const first = ownByName.get(name) ?? this.#firstByName.get(name);
    if (!ownByName.has(name)) ownByName.set(name, container);
    if (!first) {
      this.#firstByName.set(name, container);
      return [];
    }
    const isTwin = first.decky !== decky && first.decky.name === decky.name;
    // Two deckies of one name are one problem, not one more for each service that both have.
    if (isTwin && service !== undefined && first.service === service) return [];
    const fault = `its container ${excerpt(name)} has the same name as that of ` +
      describe(first.subject);
    return [problem("DECKY_NAME_DUP", subject, fault)];
  }
}

/** A decky's service as the subject of a problem. */
export function serviceSubject(
  decky: Decky,
  service: string,
  { place }: { place: string },
): Subject {
  return { what: `service ${excerpt(service)} of ${excerpt(decky.name)}`, place };
}
