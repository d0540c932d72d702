// deno-lint-ignore-file no-console
/**
 * Makes docs/pictures/master.png: the page of the example master, in Chromium, with a host that is
 * late, one that has drifted, one in error and one that is well: `deno run -q -A tools/master_picture.ts`
 *
 * @module
 */

import { until } from "../tests/support/environment.ts";
import { Narrator } from "./demo_stage.ts";
import { openWeb } from "./demo_web.ts";

const file = new URL("../docs/pictures/master.png", import.meta.url).pathname;

async function main(): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const folder = await Deno.makeTempDir({ prefix: "decnet-picture-" });
  stack.defer(() => Deno.remove(folder, { recursive: true }));
  const ending = new AbortController();
  const setting = { folder, narrator: new Narrator(() => {}), ending };
  const web = await openWeb(setting, stack);
  await web.disturb();
  const wanted = ["1 late", "1 Docker does not answer", "1 drifted", "1 consistent"];
  const page = async () => await (await fetch(web.url)).text();
  await until(async () => {
    const source = await page();
    return wanted.every((word) => source.includes(word));
  });
  const { success } = await new Deno.Command("chromium", {
    args: [
      ...["--headless", "--no-sandbox", "--hide-scrollbars", `--user-data-dir=${folder}/chromium`],
      ...["--window-size=1200,590", `--screenshot=${file}`, web.url],
    ],
    stderr: "null",
  }).output();
  if (!success) throw new Error("chromium failed");
  console.log(file);
}

if (import.meta.main) {
  await main();
  Deno.exit(0); // An idle connection may linger.
}
