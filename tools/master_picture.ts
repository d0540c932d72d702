// deno-lint-ignore-file no-console
/**
 * Makes docs/pictures/master.png: the page of the example master, in a real browser, with a host that
 * is late, one that has drifted, one in error and one that is well. Needs Chromium.
 * `deno run -q -A tools/master_picture.ts [PNG]`
 *
 * @module
 */

import { disturb, openWeb } from "../scripts/demo/web.ts";
import { Chromium } from "../tests/support/chromium.ts";

const [file = new URL("../docs/pictures/master.png", import.meta.url).pathname] = Deno.args;
const width = 1200;

async function main(): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const folder = await Deno.makeTempDir({ prefix: "decnet-picture-" });
  stack.defer(() => Deno.remove(folder, { recursive: true }));
  const ending = new AbortController();
  const onError = (error: unknown) => ending.abort(error);
  const web = await openWeb({ folder, signal: ending.signal, onError, stack });
  await disturb(web);
  const browser = stack.use(await Chromium.start());
  await browser.look({ width, height: 800, scheme: "light" });
  await browser.open(web.url);
  const wanted = ["1 late", "1 Docker does not answer", "1 drifted", "1 consistent"];
  await browser.until((source) => wanted.every((word) => source.includes(word)));
  const height = Number(await browser.evaluate("document.documentElement.offsetHeight + 32"));
  await browser.look({ width, height, scheme: "light" });
  const picture = await browser.picture();
  ending.signal.throwIfAborted();
  await Deno.mkdir(new URL(".", `file://${file}`), { recursive: true });
  await Deno.writeFile(file, picture);
  console.log(`${file}: ${width} x ${height}, ${picture.length} bytes`);
}

if (import.meta.main) {
  await main();
  Deno.exit(0); // An idle connection may linger.
}
