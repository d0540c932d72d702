import assert from "node:assert/strict";
import { requirement } from "../requirements.ts";
import { execute, Host } from "./host.ts";
import { works } from "./works.ts";

const strace = requirement("strace", await works("strace", "-f", "true"));
const namespaces = requirement(
  "unshare and the right to use it",
  await works("unshare", "--net", "--mount", "true"),
);

Deno.test({
  name: `decnet-agent --once works in a network namespace without a network${namespaces.suffix}`,
  ignore: namespaces.ignore,
  fn: async () => {
    namespaces.check();
    await using host = await Host.create();
    await host.startEngine();
    const wrapper = ["unshare", "--net"];
    const { code, stdout } = await execute(["--once", ...host.flags()], { wrapper });
    assert.equal(code, 0, stdout);
  },
});

Deno.test({
  name: `decnet-agent --once works on a read-only root file system${namespaces.suffix}`,
  ignore: namespaces.ignore,
  fn: async () => {
    namespaces.check();
    await using host = await Host.create();
    await host.startEngine();
    // Every mount is made read-only, so that no writable /tmp helps.
    const remount = "findmnt -rno TARGET -t nodevtmpfs,nodevpts,noproc,nosysfs,nocgroup2 | " +
      'while read -r at; do mount -o remount,bind,ro "$at" 2>/dev/null; done; ' +
      'touch /tmp/writable 2>/dev/null && exit 99; exec "$0" "$@"';
    const wrapper = ["unshare", "--mount", "sh", "-c", remount];
    const { code, stdout, stderr } = await execute(["--once", ...host.flags()], { wrapper });
    assert.equal(code, 0, stdout + stderr);
  },
});

/** The system calls of one `--once` without a master, as strace writes them. */
async function trace(filter: string): Promise<{ calls: string[]; socket: string }> {
  await using host = await Host.create();
  await host.startEngine();
  const log = `${host.socket}.strace`;
  const wrapper = ["strace", "-f", "-e", `trace=${filter}`, "-o", log];
  const { code, stdout } = await execute(["--once", ...host.flags()], { wrapper });
  assert.equal(code, 0, stdout);
  return { calls: (await Deno.readTextFile(log)).split("\n"), socket: host.socket };
}

Deno.test({
  name: `decnet-agent --once without a master connects to the engine alone${strace.suffix}`,
  ignore: strace.ignore,
  fn: async () => {
    strace.check();
    const { calls, socket } = await trace("network");
    const connects = calls.filter((line) => /\b(connect|sendto|bind)\(/.test(line));
    assert.ok(connects.length > 0);
    for (const line of connects) {
      assert.ok(line.includes(`"${socket}"`) || / sendto\(\d+, "(GET|HTTP)/.test(line), line);
    }
  },
});

Deno.test({
  name: `decnet-agent --once writes no file${strace.suffix}`,
  ignore: strace.ignore,
  fn: async () => {
    strace.check();
    const { calls } = await trace("openat,open,creat,mkdir,rename,unlink,ftruncate,pwrite64");
    const writes = calls.filter((line) =>
      /O_WRONLY|O_RDWR|O_CREAT|\b(creat|mkdir|rename|unlink|ftruncate|pwrite64)\(/.test(line) &&
      !line.includes('"/dev/null"') &&
      // Whether it could write is seen by opening what is there.
      !/topology\.db", O_WRONLY\|O_NOFOLLOW\|O_CLOEXEC\)/.test(line)
    );
    assert.deepEqual(writes, []);
  },
});
