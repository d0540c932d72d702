import assert from "node:assert/strict";
import { requirement } from "../requirements.ts";
import { execute, Host } from "./host.ts";
import { RunningAgent } from "./running_agent.ts";

const namespaces = requirement("unshare and the right to mount", canMount());

function canMount(): boolean {
  try {
    return new Deno.Command("unshare", { args: ["--mount", "true"], stderr: "null" }).outputSync()
      .success;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** A host that asks nobody but the name server at `address`, and has a hosts file of its own. */
async function withNames(
  address: string,
  test: (host: { args: string[]; wrapper: string[]; heal(): Promise<void> }) => Promise<void>,
): Promise<void> {
  await using host = await Host.create();
  await host.startEngine();
  const { master } = await host.startMaster();
  const folder = host.agentDirectory;
  await Deno.writeTextFile(
    `${folder}/resolv.conf`,
    `nameserver ${address}\noptions timeout:30 attempts:1\n`,
  );
  await Deno.writeTextFile(`${folder}/nsswitch.conf`, "hosts: files dns\n");
  await Deno.writeTextFile(`${folder}/hosts`, "127.0.0.1 localhost\n");
  const mounts = ["resolv.conf", "nsswitch.conf", "hosts"].map((it) =>
    `mount --bind ${folder}/${it} /etc/${it}`
  );
  const mount = `touch /etc/nsswitch.conf && ${mounts.join(" && ")} && exec "$0" "$@"`;
  await test({
    args: host.flags(master).map((flag) => flag.replace("host=127.0.0.1", "host=master.test"))
      .concat("--interval=5s"),
    wrapper: ["unshare", "--mount", "sh", "-c", mount],
    heal: () => Deno.writeTextFile(`${folder}/hosts`, "127.0.0.1 localhost master.test\n"),
  });
}

const concurrent = { sanitizeOps: false, sanitizeResources: false, sanitizeExit: false };

Deno.test({
  name: `decnet-agent outlives a name server that${namespaces.suffix}`,
  ignore: namespaces.ignore,
  fn: async (test) => {
    namespaces.check();
    // Takes every question and answers none.
    const address = { hostname: "127.13.7.53", port: 53, transport: "udp" } as const;
    const silent = Deno.listenDatagram(address);
    const cases = [
      [
        "never answers",
        "127.13.7.53",
        "no connection within 5 s; see master-host, and what filters packets between",
      ],
      [
        "is absent",
        "127.0.0.55",
        "its name cannot be resolved; see master-host, and this host's name servers",
      ],
    ] as const;
    const steps = cases.map(([name, address, words]) =>
      test.step({
        name,
        ...concurrent,
        fn: () =>
          withNames(address, async ({ args, wrapper, heal }) => {
            const says = new RegExp(`Cannot reach the master at master\\.test:\\d+: ${words}`);
            await using agent = new RunningAgent(args, { wrapper });
            const once = await execute(["--once", ...args], { wrapper });
            assert.equal(once.code, 2, once.stdout + once.stderr);
            assert.match(once.stdout, says);
            assert.ok(once.stdout.startsWith("DECNET CRITICAL - "));
            assert.ok(once.elapsedMs < 10_000, `${once.elapsedMs} ms`);
            await agent.until(() => says.test(agent.stderr));
            await heal();
            await agent.until(() => agent.stderr.includes("the master accepts beats again"));
            const { code, ms } = await agent.stop("SIGTERM");
            assert.equal(code, 0);
            assert.ok(ms < 2_000, `${ms} ms`);
          }),
      })
    );
    const passed = await Promise.all(steps);
    silent.close();
    assert.ok(passed.every((isOk) => isOk));
  },
});
