import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { TopologyStore } from "../../store/topology_store.ts";
import { binary, execute, Host, ListeningHost, RunningAgent } from "../support/executable.ts";
import { requirement, works } from "../support/requirements.ts";
import config from "../../deno.json" with { type: "json" };

const strace = requirement("strace", await works("strace", "-f", "true"));
const namespaces = requirement(
  "unshare and the right to use it",
  await works("unshare", "--net", "--mount", "true"),
);

namespaces.test("decnet-agent and doctor say that the loopback interface is down", async () => {
  await using setup = await ListeningHost.create();
  const flags = (address: string) => [...setup.flags, `--listen=${address}:8765`];
  const wrapper = ["unshare", "--net"];
  await using closed = new RunningAgent(flags("[::1]"), { wrapper });
  const reason = "Cannot listen on [::1]:8765: the loopback interface is down";
  await closed.until(() => closed.stderr.includes(reason));
  await closed.stop();
  await using agent = new RunningAgent(flags("0.0.0.0"), { wrapper });
  await agent.until(() => agent.stderr.includes("msg=listening"));
  const inside = { wrapper: ["nsenter", `--net=/proc/${agent.pid}/ns/net`] };
  const { stdout } = await execute(["doctor", "--json", ...flags("0.0.0.0")], inside);
  const { checks } = JSON.parse(stdout) as { checks: { name: string; fix?: string }[] };
  assert.match(checks.find(({ name }) => name === "api")!.fix!, /: ip link set lo up$/);
});

namespaces.test("decnet-agent --once works on a read-only root file system", async () => {
  await using host = await Host.create();
  await host.startEngine();
  // Makes every mount read-only, also /tmp.
  const remount = "findmnt -rno TARGET -t nodevtmpfs,nodevpts,noproc,nosysfs,nocgroup2 | " +
    'while read -r at; do mount -o remount,bind,ro "$at" 2>/dev/null; done; ' +
    'touch /tmp/writable 2>/dev/null && exit 99; exec "$0" "$@"';
  const wrapper = ["unshare", "--mount", "sh", "-c", remount];
  const { code, stdout, stderr } = await execute(["--once", ...host.flags()], { wrapper });
  assert.equal(code, 0, stdout + stderr);
});

/** Returns the system calls of one `--once` without a master, as strace writes them. */
async function trace(filter: string): Promise<{ calls: string[]; socket: string }> {
  await using host = await Host.create();
  await host.startEngine();
  const log = `${host.socket}.strace`;
  const wrapper = ["strace", "-f", "-e", `trace=${filter}`, "-o", log];
  const { code, stdout } = await execute(["--once", ...host.flags()], { wrapper });
  assert.equal(code, 0, stdout);
  return { calls: (await Deno.readTextFile(log)).split("\n"), socket: host.socket };
}

strace.test("decnet-agent --once without a master connects to the engine only", async () => {
  const { calls, socket } = await trace("network");
  const connects = calls.filter((line) => /\b(connect|sendto|bind)\(/.test(line));
  assert.ok(connects.length > 0);
  for (const line of connects) {
    assert.ok(line.includes(`"${socket}"`) || / sendto\(\d+, "(GET|HTTP)/.test(line), line);
  }
});

strace.test("decnet-agent --once writes no file", async () => {
  const { calls } = await trace("openat,open,creat,mkdir,rename,unlink,ftruncate,pwrite64");
  const writes = calls.filter((line) =>
    /O_WRONLY|O_RDWR|O_CREAT|\b(creat|mkdir|rename|unlink|ftruncate|pwrite64)\(/.test(line) &&
    !line.includes('"/dev/null"') &&
    // The agent opens the store for writing to check its permissions.
    !/topology\.db", O_WRONLY\|O_NOFOLLOW\|O_CLOEXEC\)/.test(line)
  );
  assert.deepEqual(writes, []);
});

/** `deno compile` writes this, a length of 8 bytes, and its data into an executable. */
const magic = "d3n0l4nd";

/** The embedded options. A list grants its items, an empty list everything, null nothing. */
interface Embedded {
  readonly permissions: Readonly<Record<string, readonly string[] | boolean | null>>;
  readonly v8_flags: readonly string[];
  readonly unsafely_ignore_certificate_errors: unknown;
  readonly env_vars_from_env_file: Readonly<Record<string, string>>;
  readonly node_modules: unknown;
  readonly workspace_resolver: {
    readonly package_jsons: object;
    readonly jsr_pkgs: readonly unknown[];
  };
}

/** Reads the options in the executable. Throws `Error` when there are none. */
function readEmbedded(): Embedded {
  const program = Buffer.from(Deno.readFileSync(binary));
  for (let at = program.indexOf(magic); at >= 0; at = program.indexOf(magic, at + 1)) {
    const start = at + magic.length + 8;
    if (program.toString("latin1", start, start + 8) !== '{"argv":') continue;
    const length = Number(program.readBigUInt64LE(start - 8));
    return JSON.parse(program.toString("utf8", start, start + length));
  }
  throw new Error("Cannot find the options of deno compile");
}

Deno.test("decnet-agent has the permissions of deno.json only", () => {
  const { permissions } = readEmbedded();
  const { env, sys } = config.permissions.agent;
  assert.ok(env.length > 0 && sys.length > 0);
  assert.deepEqual([permissions.allow_env, permissions.allow_sys], [env, sys]);
  assert.deepEqual([permissions.allow_run, permissions.allow_ffi], [null, null]);
  // deno compile grants some hosts by default; an empty list denies all.
  const isImportDenied = permissions.allow_import === null ||
    permissions.deny_import?.toString() === "";
  assert.ok(isImportDenied, JSON.stringify(permissions));
  // With a prompt, a user could grant them.
  assert.equal(permissions.prompt, false);
});

Deno.test("decnet-agent has no JIT, checks certificates, embeds no variables", () => {
  const options = readEmbedded();
  assert.ok(options.v8_flags.includes("--jitless"), options.v8_flags.join(" "));
  assert.equal(options.unsafely_ignore_certificate_errors, null);
  assert.deepEqual(options.env_vars_from_env_file, {});
});

Deno.test("decnet-agent contains no packages", async () => {
  const { node_modules, workspace_resolver } = readEmbedded();
  assert.equal(node_modules, null);
  assert.deepEqual([workspace_resolver.package_jsons, workspace_resolver.jsr_pkgs], [{}, []]);
  const root = new URL("../../", import.meta.url);
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", "main.ts"],
    cwd: root,
  }).output();
  const { modules } = JSON.parse(new TextDecoder().decode(stdout));
  const foreign = modules.map(({ specifier }: { specifier: string }) => specifier)
    .filter((it: string) => !it.startsWith(root.href) && !it.startsWith("node:"));
  assert.ok(modules.length > 50);
  assert.deepEqual(foreign, []);
});

Deno.test("decnet-agent maps no code but its own and the C library", async () => {
  await using host = await Host.create();
  const engine = await host.startEngine();
  await using agent = new RunningAgent(["--interval=5s", ...host.flags()]);
  await agent.until(() => engine.requestCount > 0);
  const maps = Deno.readTextFileSync(`/proc/${agent.pid}/maps`);
  const executable = maps.trim().split("\n").filter((line) => /^\S+ ..x/.test(line));
  const library =
    /\/(ld-linux|lib(c|dl|m|rt|pthread|gcc_s|resolv|nss_\w+))[-.\w]*\.so(\.\d+)*$|\/l(d|ib\w+)-[\d.]+\.so$/;
  const others = executable.map((line) => line.split(/\s+/)[5] ?? "").filter((name) =>
    !name.endsWith("/dist/decnet-agent") && !/^\[v(dso|syscall)\]$/.test(name) &&
    !library.test(name)
  );
  assert.deepEqual(others, []);
});

const nobody = 65_534;
const wrapper = ["setpriv", `--reuid=${nobody}`, `--regid=${nobody}`, "--clear-groups"];
const setpriv = requirement(
  "setpriv and root",
  await works(wrapper[0]!, ...wrapper.slice(1), "true"),
);

setpriv.test("S22 --once warns of a store in a folder that its user cannot write", async () => {
  await using host = await Host.create();
  await host.startEngine();
  await Deno.chmod(host.folder, 0o755);
  await Deno.chmod(host.socket, 0o666);
  const store = TopologyStore.open(host.storePath);
  store.put("A", "h1", '{"topology":{"id":"A"},"lans":[],"deckies":[]}');
  store.close();
  await Deno.chown(host.storePath, nobody, nobody);
  const codes: number[] = [];
  const check = async () => {
    const { code, stdout } = await execute(["--once", ...host.flags()], { wrapper });
    codes.push(code);
    return stdout;
  };
  await Deno.chmod(host.stateDirectory, 0o755);
  const problem = `the store cannot be written: user ${nobody} may not write to its folder`;
  assert.ok((await check()).startsWith(`DECNET WARNING - ${problem}`));
  await Deno.remove(host.storePath);
  assert.ok((await check()).startsWith(`DECNET WARNING - ${problem}`));
  await Deno.chown(host.stateDirectory, nobody, nobody);
  assert.match(await check(), /^DECNET OK - idle, /);
  assert.deepEqual(codes, [1, 1, 0]);
});
