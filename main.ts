if (import.meta.main) {
  console.log(Deno.version.deno); // deno-lint-ignore no-console
}
