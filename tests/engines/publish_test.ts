import assert from "node:assert/strict";
import type Docker from "dockerode";
import { type Json, parseJson, writeJson } from "../../topology/json.ts";
import { requirement } from "../support/requirements.ts";
import { plantedPassword } from "../support/secrets.ts";
import { changed, type Sample, testApply } from "./apply_setup.ts";
import { docker, podman } from "./engines.ts";
import { answerInside, Outside } from "./inside.ts";
import type { DockerSandbox } from "./sandbox.ts";
import { threeLansDocument } from "./three_lans.ts";

/**
 * The document of three LANs; decky-001 has the service dns, too, and its other LAN, which is internal,
 * comes before the DMZ by name.
 */
function gatewayDocument(sandbox: DockerSandbox): Json {
  return parseJson(
    writeJson(threeLansDocument(sandbox)).replaceAll("LAN-01", "A-LAN")
      .replaceAll('"services":["ssh"]', '"services":["ssh","dns"]'),
  );
}

const withOutside = requirement(
  "Docker, iproute2, nsenter and root",
  docker.requirement.suffix === "" && await Outside.isPossible(),
);

testApply("a gateway answers from outside, no other decky does", async (setup) => {
  const { sandbox } = setup;
  const outside = await Outside.make(sandbox);
  const planOptions = { ...setup.planOptions, publish: outside.hostAddress };
  const document = gatewayDocument(sandbox);
  await setup.apply(document, { planOptions });
  assert.deepEqual((await setup.apply(document, { planOptions })).changes, 0);
  const gateway = setup.name("decky-001");
  await using _gateway = await answerInside(sandbox, gateway, "22/tcp", "53/tcp", "53/udp");
  // It forwards, too, but is on internal LANs only.
  await using _inner = await answerInside(sandbox, setup.name("decky-002"), "80/tcp");
  // On the DMZ, but no gateway.
  await using _other = await answerInside(sandbox, setup.name("decky-004"), "80/tcp");
  for (const port of ["22/tcp", "53/tcp", "53/udp"]) assert.equal(await outside.ask(port), port);
  for (const port of ["80/tcp", "22/udp"]) assert.equal(await outside.ask(port), "", port);

  // Another set of ports: the base is made again with its services, and nothing else.
  const before = await setup.ids();
  const without = parseJson(writeJson(document).replaceAll('["ssh","dns"]', '["ssh"]'));
  await setup.apply(without, { planOptions });
  const again = ["decky-001", "decky-001-dns", "decky-001-ssh"];
  assert.deepEqual(changed(before, await setup.ids()), again);
  await using _again = await answerInside(sandbox, gateway, "22/tcp", "53/udp");
  assert.equal(await outside.ask("22/tcp"), "22/tcp");
  assert.equal(await outside.ask("53/udp"), "");
}, { requirement: withOutside, socket: docker.socket });

const podmanWithOutside = requirement(
  "Podman, iproute2, nsenter and root",
  podman.requirement.suffix === "" && await Outside.isPossible(),
);

testApply("a gateway answers in Podman", async (setup) => {
  const { sandbox, name } = setup;
  const outside = await Outside.make(sandbox);
  const planOptions = { ...setup.planOptions, publish: outside.hostAddress };
  const deckies = { gate: { on: { dmz: 2 }, services: ["ssh", "dns"], forwards: true } };
  await setup.apply({ lans: { dmz: 0 }, deckies }, { planOptions });
  await using _gate = await answerInside(sandbox, name("gate"), "22/tcp", "53/udp", "80/tcp");
  // From outside, the rules of a Docker beside it would drop all.
  const ask = (port: string) => outside.ask(port, { fromHost: true });
  for (const port of ["22/tcp", "53/udp"]) assert.equal(await ask(port), port);
  assert.equal(await ask("80/tcp"), "");
}, { requirement: podmanWithOutside, socket: podman.socket });

const gateway: Sample = {
  lans: { dmz: 0 },
  deckies: { gate: { on: { dmz: 2 }, services: ["own", "ftp"], forwards: true } },
};

/** A UDP port below 1024 that few programs have, on an address that no interface has. */
const [port, publish] = [997, "127.9.9.9"];

for (const engine of [docker, podman]) {
  testApply(`Applier.apply() goes on when a port is free, in ${engine.name}`, async (setup) => {
    const services = new Map([["own", { ports: [`${port}/udp`] as const }]]);
    const planOptions = { ...setup.planOptions, publish, services };
    const other = Deno.listenDatagram({ hostname: publish, port, transport: "udp" });
    const { kind, message } = await setup.refusal(gateway, { planOptions })
      .finally(() => other.close());
    assert.equal(kind, "failed");
    assert.match(message, /^Cannot (create|start) container \S+_gate: /);
    assert.ok(
      message.endsWith(
        `; cannot publish ${port}/udp if that port is taken: free it, or set publish to another ` +
          "address or off",
      ),
      message,
    );
    assert.match(setup.row()!.lastError!, /997\/udp/);
    await setup.apply(gateway, { planOptions });
    assert.deepEqual((await setup.apply(gateway, { planOptions })).changes, 0);
    const prefixes = [setup.name("gate")];
    const { inventory } = await setup.sandbox.observe({
      networkPrefixes: prefixes,
      containerPrefixes: prefixes,
    });
    const published = inventory.containers.map((
      { name, publishedPorts },
    ) => [name, publishedPorts]);
    const [base = []] = published.filter(([name]) => name === setup.name("gate"));
    assert.deepEqual(base[1], [`${port}/udp`]);
  }, engine);
}

testApply("Applier.apply() recreates only the service whose value has changed", async (setup) => {
  const { sandbox, name } = setup;
  const document = (password: string) =>
    parseJson(
      writeJson(setup.document({
        lans: { dmz: 0 },
        deckies: { web: { on: { dmz: 2 }, services: ["ssh", "ftp"] } },
      })).replaceAll(plantedPassword, password),
    );
  const env = async () => (await sandbox.docker.getContainer(name("web-ssh")).inspect()).Config.Env;
  const first = await setup.apply(document(plantedPassword));
  assert.ok(!JSON.stringify(first).includes(plantedPassword));
  assert.ok((await env()).includes(`SSH_ROOT_PASSWORD=${plantedPassword}`));
  const before = await setup.ids();
  await setup.apply(document("another"));
  assert.deepEqual(changed(before, await setup.ids()), ["web-ssh"]);
  assert.ok((await env()).includes("SSH_ROOT_PASSWORD=another"));
  await setup.assertApplied(document("another"));
});

for (const engine of [docker, podman]) {
  testApply(`Applier.apply() mounts a folder of artifacts-dir in ${engine.name}`, async (setup) => {
    const { sandbox, name, folder } = setup;
    const artifactsDirectory = `${folder.path}/not there yet`;
    const planOptions = { ...setup.planOptions, artifactsDirectory };
    const sample: Sample = {
      lans: { dmz: 0 },
      deckies: { web: { on: { dmz: 2 }, services: ["ssh", "ftp"] } },
    };
    await setup.apply(sample, { planOptions });
    const source = `${artifactsDirectory}/web/ssh`;
    assert.ok((await Deno.stat(source)).isDirectory);
    const mounts = async (container: string) =>
      (await sandbox.docker.getContainer(name(container)).inspect()).Mounts
        .map((
          it: Docker.ContainerInspectInfo["Mounts"][number],
        ) => [it.Source, it.Destination, it.RW]);
    assert.deepEqual(await mounts("web-ssh"), [[source, "/var/lib/systemd/coredump", true]]);
    assert.deepEqual([await mounts("web"), await mounts("web-ftp")], [[], []]);
    await setup.teardown();
    assert.ok((await Deno.stat(source)).isDirectory, "a teardown keeps what was captured");
  }, engine);
}
