import assert from "node:assert/strict";
import type { ApiService } from "../../api/mod.ts";
import { Refusal } from "../../apply/mod.ts";
import { type Json, versionHash as hashOf } from "../../topology/mod.ts";
import { candidateOf, type ServiceHost } from "./service_host.ts";

type Document = { readonly [key: string]: Json };

/** The service behind the API, with an eye on what each call makes of the engine. */
export class WatchedService implements ApiService {
  /** How many calls have come since the last look. */
  calls = 0;
  /** What a call has done that it must not do; null when there is nothing. */
  violation: unknown = null;
  readonly #host: ServiceHost;
  #last: Promise<unknown> = Promise.resolve();

  constructor(host: ServiceHost) {
    this.#host = host;
  }

  state(signal: AbortSignal): Promise<unknown> {
    return this.#alone(() => this.#host.service.state(signal));
  }

  apply(hydrated: Document, versionHash: string, gone: AbortSignal): Promise<void> {
    return this.#alone(async () => {
      const document = { ...hydrated };
      const isRight = versionHash === await hashOf(document).catch(() => null);
      const candidate = isRight ? await candidateOf(document) : null;
      await this.#watch(
        () => this.#host.service.apply(hydrated, versionHash, gone),
        (outcome) => this.#host.checkEngine(candidate, outcome),
      );
    });
  }

  teardown(topologyId: string, gone: AbortSignal): Promise<void> {
    return this.#alone(() =>
      this.#watch(() => this.#host.service.teardown(topologyId, gone), (outcome) => {
        const { requests, changes } = this.#host.engine;
        assert.deepEqual(changes, [], "there was nothing to remove");
        if (outcome === "malformed") assert.deepEqual(requests, []);
      })
    );
  }

  async #watch(work: () => Promise<void>, check: (outcome: string) => void): Promise<void> {
    this.#host.clean();
    let outcome = "applied";
    try {
      await work();
    } catch (error) {
      outcome = error instanceof Refusal ? error.kind : "a fault";
      throw error;
    } finally {
      try {
        check(outcome);
      } catch (error) {
        this.violation ??= error;
      }
    }
  }

  /** One at a time, so that it is known who has called the engine. */
  #alone<T>(work: () => Promise<T>): Promise<T> {
    this.calls++;
    const result = this.#last.then(work);
    this.#last = result.catch(() => {});
    return result;
  }
}
