import { main as check } from "./cli/check.ts";

const names = Deno.args.map((argument) => argument.split("=")[0]!);
const isCheck = names.includes("--once") &&
  !names.some((name) => ["--help", "-h", "--version"].includes(name));

if (import.meta.main) {
  // A check runs every minute on every host: what it does not need is not loaded for it.
  const main = isCheck ? check : (await import("./cli/main.ts")).main;
  // Not waiting for what still lingers, such as an idle connection, is what makes the end quick.
  Deno.exit(await main(Deno.args));
}
