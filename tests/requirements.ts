/** What a test needs of the machine: spread `ignore` into its options, add `suffix` to its name. */
export interface Requirement {
  /** It is absent, and this is not CI: there, nothing is skipped. */
  readonly ignore: boolean;
  /** Empty when it is present, else ` (needs …)`. */
  readonly suffix: string;
  /** The first line of the test. Throws `Error`, which says what is needed, when it is absent. */
  check(): void;
}

/** States that tests need `what`, e.g. `a Docker engine`, and whether it is there. */
export function requirement(what: string, present: boolean): Requirement {
  return {
    ignore: !present && !Deno.env.get("CI"),
    suffix: present ? "" : ` (needs ${what})`,
    check() {
      if (!present) throw new Error(`This test needs ${what}, and CI skips nothing`);
    },
  };
}
