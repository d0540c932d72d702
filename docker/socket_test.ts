import assert from "node:assert/strict";
import { findSocket, socketPath } from "./socket.ts";

Deno.test("socketPath() takes the address of a local socket only", () => {
  const cases: [address: string, path: string | null][] = [
    ["unix:///var/run/docker.sock", "/var/run/docker.sock"],
    ["unix:///run/user/1000/podman/podman.sock", "/run/user/1000/podman/podman.sock"],
    ["unix:///with space/ü.sock", "/with space/ü.sock"],
    ["unix:///%2Fnot-decoded", "/%2Fnot-decoded"],
    [`unix:///${"ü".repeat(53)}`, `/${"ü".repeat(53)}`],
    [`unix:///${"ü".repeat(53)}x`, null],
    ["unix:///", null],
    ["unix://relative.sock", null],
    ["unix:/one-slash.sock", null],
    ["UNIX:///upper.sock", null],
    ["unix:///nul\0.sock", null],
    ["/var/run/docker.sock", null],
    ["tcp://127.0.0.1:2375", null],
    ["ssh://host", null],
    ["npipe:////./pipe/docker_engine", null],
    ["fd://", null],
    ["", null],
  ];
  for (const [address, path] of cases) assert.equal(socketPath(address), path, address);
});

Deno.test("findSocket() answers the first path that exists", async () => {
  const directory = await Deno.makeTempDir();
  try {
    const [missing, first, second] = ["missing", "first", "second"].map((it) =>
      `${directory}/${it}`
    );
    await Deno.writeTextFile(first!, "");
    await Deno.writeTextFile(second!, "");
    assert.equal(findSocket([missing!, first!, second!]), first);
    assert.equal(findSocket([second!, first!]), second);
    await Deno.symlink(missing!, `${directory}/dangling`);
    assert.equal(findSocket([`${directory}/dangling`, `${missing}/below`, second!]), second);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("findSocket() does not look for the only path, so that connecting says what is wrong", () => {
  assert.equal(findSocket(["/nowhere/docker.sock"]), "/nowhere/docker.sock");
});

Deno.test("findSocket() names every path when none exists", () => {
  assert.throws(
    () => findSocket(["/nowhere/a.sock", "/nowhere/b.sock"]),
    /^Error: Cannot find Docker: none of \/nowhere\/a\.sock, \/nowhere\/b\.sock exists; start the engine, or set docker-host$/,
  );
});
