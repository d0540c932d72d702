import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import type { Playground } from "./playground.ts";

/** The IPv4 addresses that processes in a container see as their own, sorted, without loopback. */
export async function addressesInside(playground: Playground, container: string) {
  const tree = await read(playground, container, "/proc/net/fib_trie");
  const own = [...tree.matchAll(/\|-- ([\d.]+)\n\s+\/32 host LOCAL/g)].map(([, address]) =>
    address!
  );
  return [...new Set(own)].filter((address) => !address.startsWith("127.")).sort();
}

/** Whether processes in a container have a default route, and thus a way out. */
export async function hasDefaultRoute(playground: Playground, container: string): Promise<boolean> {
  const routes = await read(playground, container, "/proc/net/route");
  return routes.split("\n").slice(1).some((line) => line.split(/\s+/)[1] === "00000000");
}

/** The identity of the network namespace that processes in a container are in. */
export async function networkInside(playground: Playground, container: string): Promise<string> {
  return await execute(playground, container, ["/readlink", "/proc/self/ns/net"]);
}

/** Whether the processes of a container may administer its network. */
export async function mayChangeNetwork(
  playground: Playground,
  container: string,
): Promise<boolean> {
  const status = await read(playground, container, "/proc/1/status");
  const capabilities = BigInt(`0x${/^CapEff:\s+([0-9a-f]+)$/m.exec(status)![1]}`);
  const netAdmin = 12n; // capabilities(7)
  return (capabilities >> netAdmin & 1n) === 1n;
}

/** A file as processes in a container see it. */
async function read(playground: Playground, container: string, file: string): Promise<string> {
  return await execute(playground, container, ["/cat", file]);
}

/** What a program of the pausing image writes when it runs inside a container. */
async function execute(
  { docker }: Playground,
  container: string,
  command: readonly string[],
): Promise<string> {
  const exec = await docker.getContainer(container).exec({
    Cmd: [...command],
    AttachStdout: true,
    AttachStderr: true,
  });
  const parts: Uint8Array[] = [];
  for await (const part of await exec.start({})) parts.push(part as Uint8Array);
  let text = "";
  // Each piece has a header, with its length in the end.
  for (let rest = Buffer.concat(parts); rest.length > 0;) {
    const end = 8 + rest.readUInt32BE(4);
    text += rest.subarray(8, end).toString();
    rest = rest.subarray(end);
  }
  const { ExitCode } = await exec.inspect();
  assert.equal(ExitCode, 0, `${command.join(" ")} in ${container}: ${text}`);
  return text;
}
