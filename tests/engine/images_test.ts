import assert from "node:assert/strict";
import { call } from "./calls.ts";
import { container, withEngine } from "./mod.ts";

Deno.test("FakeEngine finds images by tag, by id and by the beginning of an id", () =>
  withEngine(async (engine) => {
    engine.images = ["base", "decnet/ssh:1"];
    const id = engine.images.idOf("base:latest")!;
    const cases: [string, string[] | string][] = [
      ["base", ["base:latest"]],
      ["base:latest", ["base:latest"]],
      ["docker.io%2Flibrary%2Fbase", ["base:latest"]],
      ["decnet/ssh:1", ["decnet/ssh:1"]],
      ["decnet%2Fssh:1", ["decnet/ssh:1"]],
      [id, ["base:latest"]],
      [id.slice(7, 19), ["base:latest"]],
      ["decnet/ssh", "no such image: decnet/ssh: No such image: decnet/ssh:latest"],
      ["base:2", "no such image: base:2: No such image: base:2"],
      ["Base", "no such image: Base: invalid reference format: repository name must be lowercase"],
    ];
    for (const [name, expected] of cases) {
      const { status, body } = await call(engine.socketPath, "GET", `/images/${name}/json`);
      assert.deepEqual(status === 200 ? body?.RepoTags : body?.message, expected, name);
    }
  }));

Deno.test("Images.rebuild() puts another image under a tag", () =>
  withEngine(async (engine) => {
    const item = container({ name: "web", image: "base:1" });
    engine.containers = [item];
    engine.images = ["base:1", "other"];
    const look = async () => {
      const { body } = await call(engine.socketPath, "GET", "/images/base:1/json");
      const list = await call(engine.socketPath, "GET", "/containers/json");
      return [body?.Id, (list.body as unknown as typeof item[])[0]!.Image];
    };
    assert.deepEqual(await look(), [item.ImageID, "base:1"]);
    const id = engine.images.rebuild("base:1");
    assert.match(id, /^sha256:[0-9a-f]{64}$/);
    assert.deepEqual(await look(), [id, item.ImageID]);
    engine.images.delete("base:1");
    assert.deepEqual(await look(), [undefined, item.ImageID]);
    assert.deepEqual([...engine.images], ["other:latest"]);
  }));
