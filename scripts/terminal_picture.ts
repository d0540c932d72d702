// deno-lint-ignore-file no-console
/**
 * Makes docs/pictures/terminal.svg: what the compiled executable prints on a real terminal when a
 * topology has drifted. Needs dist/decnet-agent and script, which makes terminals:
 * `deno run -q -A scripts/terminal_picture.ts [SVG]`
 *
 * @module
 */
import { screenOf } from "./terminal_picture/screen.ts";
import { columns, recordSession } from "./terminal_picture/session.ts";
import { pictureOf } from "./terminal_picture/svg.ts";

/** Where the picture is that the README shows. */
export const pictureFile: string =
  new URL("../docs/pictures/terminal.svg", import.meta.url).pathname;

/** Runs the executable; the same text each time. */
export async function terminalPicture(): Promise<string> {
  const output = await recordSession(["decnet-agent --once", "echo $?", "decnet-agent state"]);
  return pictureOf(screenOf(output, columns), {
    columns,
    windowTitle: "decnet-agent",
    title: "decnet-agent in a terminal",
    description: "decnet-agent --once warns of three differences and exits with 1. decnet-agent " +
      "state draws the topology as a tree of LANs, decoys and services: the service redis of db is " +
      "missing, ssh of files has stopped, and a container miner is not of the topology.",
  });
}

if (import.meta.main) {
  const [file = pictureFile] = Deno.args;
  const picture = await terminalPicture();
  await Deno.writeTextFile(file, picture);
  console.log(`${file}: ${new TextEncoder().encode(picture).length} bytes`);
}
