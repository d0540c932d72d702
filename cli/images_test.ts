import assert from "node:assert/strict";
import { AgentSetup, document as oneLan, topologyId } from "../tests/support/agent_setup.ts";
import { flagsOf, runOn } from "../tests/support/command_line.ts";
import { isImageReference } from "../topology/document.ts";

/** Returns what `readInput` of a terminal returns for a document. */
const inputOf = (document: unknown) => () =>
  Promise.resolve(new TextEncoder().encode(JSON.stringify(document)));

const digest = `nginx@sha256:${"0a".repeat(32)}`;

/** A document with one decky for each list of services. */
function documentOf(services: string[][], images: Record<string, string> = {}) {
  return {
    topology: { id: topologyId },
    lans: [{ name: "DMZ", subnet: "198.18.7.0/24", is_dmz: true }],
    deckies: services.map((services, index) => ({
      name: `d${index}`,
      services,
      decky_config: {
        ips_by_lan: { DMZ: `198.18.7.${index + 2}` },
        service_config: Object.fromEntries(
          Object.entries(images).map(([service, image]) => [service, { image }]),
        ),
      },
    })),
  };
}

Deno.test("run() images lists each image once, sorted, without an engine", async () => {
  const list = async (document: unknown, ...flags: string[]) => {
    const ended = await runOn(["images", "-", ...flags], { readInput: inputOf(document) });
    assert.deepEqual([ended.code, ended.stderr], [0, ""]);
    return ended.stdout;
  };
  const document = documentOf([["ssh", "http"], ["http", "redis"]], { http: digest });
  const lines = (...names: string[]) => names.map((name) => `${name}\n`).join("");
  assert.equal(
    await list(document),
    lines("debian:bookworm-slim", "decnet/redis:latest", "decnet/ssh:latest", digest),
  );
  const configured = [
    "--base-image=reg.example.com:5000/base",
    `--service-image=decoys:{service},redis=redis:7,ssh=reg.example.com:5000/base,http=unused`,
  ];
  const images = ["decoys:smb", digest, "redis:7", "reg.example.com:5000/base"];
  const more = documentOf([["ssh", "http", "smb"], ["redis"]], { http: digest, ftp: "unused" });
  assert.equal(await list(more, ...configured), lines(...images));
  assert.deepEqual(JSON.parse(await list(more, ...configured, "--json")), { images });
  assert.equal(await list({ topology: { id: topologyId }, lans: [], deckies: [] }), "");
});

Deno.test("run() images prints nothing but image references", async () => {
  const tricks = [
    ..."$(reboot) `reboot` ;reboot -o --output=/etc/passwd /etc/passwd ../a a|b a&b *.tar ~".split(
      " ",
    ),
    ...["a\nb", "a b", "a\tb", "a\u00a0b", "a\u2028b", "a\u0000", "", " ", "'a'", "a#b", "{a,b}"],
  ];
  for (const trick of tricks) {
    const asImage = documentOf([["ssh"]], { ssh: trick });
    const asService = documentOf([["ssh", trick]]);
    const asDecky = documentOf([["ssh"]]);
    asDecky.deckies[0]!.name = trick;
    for (const document of [asImage, asService, asDecky]) {
      const ended = await runOn(["images", "-"], { readInput: inputOf(document) });
      assert.deepEqual([ended.code, ended.stdout], [3, ""], JSON.stringify(trick));
      assert.match(ended.stderr, /NAME_MALFORMED/);
    }
    for (const flag of ["--base-image", "--service-image"]) {
      const ended = await runOn(["images", "-", `${flag}=${trick}`], {
        readInput: inputOf(documentOf([["ssh"]])),
      });
      assert.deepEqual([ended.code, ended.stdout], [3, ""], `${flag}=${trick}`);
    }
  }
  // Names that are fit for a container, and become no image.
  for (const service of ["HTTP", "a.", "a-", "b___c"]) {
    const readInput = inputOf(documentOf([["ssh", service]]));
    const refused = await runOn(["images", "-"], { readInput });
    assert.deepEqual([refused.code, refused.stdout], [3, ""], service);
    const tagged = await runOn(["images", "-", "--service-image=decoys:{service}"], { readInput });
    assert.equal(tagged.code, 0, tagged.stderr);
    assert.ok(tagged.stdout.split("\n").slice(0, -1).every(isImageReference), tagged.stdout);
  }
});

Deno.test("run() images --missing asks the engine, and exits with 2", async () => {
  await using setup = await AgentSetup.create();
  const list = (...flags: string[]) =>
    runOn(["images", "-", "--missing", ...flagsOf(setup, { master: false }), ...flags], {
      readInput: inputOf(documentOf([["ssh", "http"]], { http: digest })),
    });
  setup.engine.images = ["decnet/ssh:latest"];
  const text = `debian:bookworm-slim\n${digest}\n`;
  assert.deepEqual(await list(), { code: 2, stdout: text, stderr: "" });
  const json = await list("--json");
  const missing = ["debian:bookworm-slim", digest];
  assert.equal(json.code, 2);
  assert.deepEqual(JSON.parse(json.stdout), {
    images: ["debian:bookworm-slim", "decnet/ssh:latest", digest],
    missing,
  });
  setup.engine.images = ["debian:bookworm-slim", "decnet/ssh:latest", digest];
  assert.deepEqual(await list(), { code: 0, stdout: "", stderr: "" });
  assert.deepEqual(JSON.parse((await list("--json")).stdout).missing, []);
  assert.deepEqual(setup.engine.changes, []);
});

Deno.test("run() images --missing says on standard error why Docker fails", async () => {
  await using setup = await AgentSetup.create();
  const list = (...flags: string[]) =>
    runOn(["images", "-", "--missing", ...flagsOf(setup, { master: false }), ...flags], {
      readInput: inputOf(documentOf([["ssh"]])),
    });
  setup.engine.fault = { kind: "status", status: 500, message: "boom" };
  const failed = await list();
  assert.deepEqual([failed.code, failed.stdout], [2, ""]);
  assert.match(failed.stderr, /^decnet-agent: GET \/images\/\S+ was answered with 500 \(boom\)\n$/);
  const json = await list("--json");
  const { status, exit_code, error } = JSON.parse(json.stdout);
  assert.deepEqual([json.code, status, exit_code], [2, "failed", 2]);
  assert.equal(json.stderr, `decnet-agent: ${error}\n`);
  const absent = await list("--docker-host=unix:///absent.sock");
  assert.deepEqual([absent.code, absent.stdout], [2, ""]);
  assert.match(absent.stderr, /\/absent\.sock/);
});

Deno.test("run() images --stored lists what the stored document needs", async () => {
  await using setup = await AgentSetup.create();
  const list = () => runOn(["images", "--stored", ...flagsOf(setup, { master: false })]);
  await setup.engine.stop();
  assert.deepEqual(await list(), {
    code: 3,
    stdout: "",
    stderr: `decnet-agent: nothing is applied according to ${setup.storePath}; ` +
      "apply a topology from its file\n",
  });
  setup.changeStore((store) => store.put(topologyId, "h", oneLan));
  const stdout = "debian:bookworm-slim\ndecnet/ssh:latest\n";
  assert.deepEqual(await list(), { code: 0, stdout, stderr: "" });
});

Deno.test("run() images exits with 3 for a wrong document, and names it", async () => {
  const cases: [document: unknown, error: RegExp][] = [
    [{}, /^decnet-agent: Cannot read the topology: topology: expected object, got nothing/],
    [{ ...documentOf([["ssh"]]), lans: [] }, /\n {2}\[DMZ_MISSING\] /],
  ];
  for (const [document, error] of cases) {
    const readInput = inputOf(document);
    const { code, stdout, stderr } = await runOn(["images", "-"], { readInput });
    assert.deepEqual([code, stdout], [3, ""]);
    assert.match(stderr, error);
    const json = await runOn(["images", "-", "--json"], { readInput });
    assert.deepEqual([json.code, JSON.parse(json.stdout).exit_code], [3, 3]);
  }
  const absent = await runOn(["images", "t.json"]);
  assert.deepEqual(absent, {
    code: 3,
    stdout: "",
    stderr: "decnet-agent: Cannot read t.json: no such file\n",
  });
});
