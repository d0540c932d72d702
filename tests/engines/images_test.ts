import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { runOn } from "../support/command_line.ts";
import { docker, podman } from "./engines.ts";
import { testInSandbox } from "./sandbox.ts";

for (const engine of [docker, podman]) {
  testInSandbox(
    engine,
    `what images lists is saved and loaded in ${engine.name}`,
    async (sandbox) => {
      const [base, services] = ["base", "services"].map((it) => `decnet-${it}-${sandbox.tag}`);
      const names = [`${base}:1`, `${services}:http`, `${services}:ssh`];
      const document = JSON.stringify({
        topology: { id: "a" },
        lans: [{ name: "DMZ", subnet: "198.18.7.0/24", is_dmz: true }],
        deckies: ["2", "3"].map((host) => ({
          name: `d${host}`,
          services: ["ssh", "http"],
          decky_config: { ips_by_lan: { DMZ: `198.18.7.${host}` } },
        })),
      });
      const list = (...flags: string[]) =>
        runOn([
          ...["images", "-", `--base-image=${base}:1`, `--service-image=${services}:{service}`],
          ...[`--docker-host=unix://${engine.socket}`, ...flags],
        ], { readInput: () => Promise.resolve(new TextEncoder().encode(document)) });
      const text = `${names.join("\n")}\n`;
      assert.deepEqual(await list("--missing"), { code: 2, stdout: text, stderr: "" });
      for (const name of names) await sandbox.importImage(name);
      assert.deepEqual(await list("--missing"), { code: 0, stdout: "", stderr: "" });

      const { stdout } = await list();
      const saved = await sandbox.docker.getImages({ names: stdout.trimEnd().split("\n") });
      const parts = await Array.fromAsync(saved as AsyncIterable<Uint8Array>);
      for (const name of names) await sandbox.docker.getImage(name).remove();
      assert.deepEqual(await list("--missing"), { code: 2, stdout: text, stderr: "" });
      const loading = await sandbox.docker.loadImage(Buffer.concat(parts));
      for await (const _ of loading);
      assert.deepEqual(await list("--missing"), { code: 0, stdout: "", stderr: "" });
    },
  );
}
