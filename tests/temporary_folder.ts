/** A folder of its own for a test, gone when the test is over. */
export class TemporaryFolder implements Disposable {
  /** Its absolute path. */
  readonly path = Deno.makeTempDirSync({ prefix: "decnet-test-" });

  [Symbol.dispose](): void {
    Deno.removeSync(this.path, { recursive: true });
  }
}
