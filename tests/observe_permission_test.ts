import assert from "node:assert/strict";
import { requirement } from "./requirements.ts";

const isRoot = Deno.uid() === 0;
/** To root every file is open, unless it lacks these capabilities. */
const withoutOverride = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"];
const confinement = requirement("setpriv, as root", !isRoot || await succeeds(withoutOverride));

async function succeeds([command = "", ...args]: string[]): Promise<boolean> {
  try {
    return (await new Deno.Command(command, { args: [...args, "true"] }).output()).success;
  } catch {
    return false;
  }
}

/** What a script prints that runs as somebody to whom file permissions apply. */
async function runConfined(script: string): Promise<string> {
  const command = [...(isRoot ? withoutOverride : []), Deno.execPath(), "eval", "--quiet", script];
  const { success, stdout, stderr } = await new Deno.Command(command[0]!, {
    args: command.slice(1),
    env: { NO_COLOR: "1" },
  }).output();
  assert.ok(success, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout).trim();
}

Deno.test({
  name: `observe() says that a socket may not be used${confinement.suffix}`,
  ignore: confinement.ignore,
  async fn() {
    confinement.check();
    const directory = await Deno.makeTempDir();
    try {
      const socket = `${directory}/docker.sock`;
      using _listener = Deno.listen({ transport: "unix", path: socket });
      await Deno.chmod(socket, 0);
      const options = JSON.stringify({ socket, networkPrefixes: [], containerPrefixes: [] });
      const printed = await runConfined(`
        import { observe } from ${JSON.stringify(import.meta.resolve("../docker/mod.ts"))};
        await observe(new AbortController().signal, ${options})
          .catch((error) => console.log(error.message));
      `);
      assert.equal(
        printed,
        `Cannot observe Docker at ${socket}: ` +
          "permission denied; run as root, or as a member of the socket's group",
      );
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  },
});

Deno.test({
  name: `findSocket() takes a path that may not be looked at${confinement.suffix}`,
  ignore: confinement.ignore,
  async fn() {
    confinement.check();
    const directory = await Deno.makeTempDir();
    try {
      await Deno.mkdir(`${directory}/closed`, { mode: 0 });
      const paths = [`${directory}/missing`, `${directory}/closed/docker.sock`, directory];
      const printed = await runConfined(`
        import { findSocket } from ${JSON.stringify(import.meta.resolve("../docker/mod.ts"))};
        console.log(findSocket(${JSON.stringify(paths)}));
      `);
      assert.equal(printed, paths[1]);
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  },
});
