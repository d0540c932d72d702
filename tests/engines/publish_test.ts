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
async function gatewayDocument(sandbox: DockerSandbox): Promise<Json> {
  // docs/topology.md says that this engine publishes on the first one.
  const internal = await usesCni(sandbox) ? "LAN-01" : "A-LAN";
  return parseJson(
    writeJson(threeLansDocument(sandbox)).replaceAll("LAN-01", internal)
      .replaceAll('"services":["ssh"]', '"services":["ssh","dns"]'),
  );
}

/** Whether it is a Podman whose networks are made by CNI, which Podman 5 does not have. */
async function usesCni({ docker }: DockerSandbox): Promise<boolean> {
  const call = { path: "/v4.0.0/libpod/info", method: "GET", statusCodes: { 200: true } };
  return await new Promise((resolve) =>
    docker.modem.dial(call, (_: unknown, info: unknown) => {
      resolve(JSON.stringify(info ?? null).includes('"networkBackend":"cni"'));
    })
  );
}

const outsideIsPossible = await Outside.isPossible();

for (const { name: engine, socket, requirement: { isPresent } } of [docker, podman]) {
  const withOutside = requirement(
    `${engine}, iproute2, iptables, nsenter and root`,
    isPresent && outsideIsPossible,
  );
  const options = { requirement: withOutside, socket };
  testApply(`a gateway answers from outside, no other decky does, in ${engine}`, async (setup) => {
    const { sandbox } = setup;
    await using outside = await Outside.make(sandbox, { besideDocker: engine === "Podman" });
    const planOptions = { ...setup.planOptions, publish: outside.hostAddress };
    const document = await gatewayDocument(sandbox);
    await setup.apply(document, { planOptions });
    await setup.assertApplied(document, { planOptions });
    const gateway = setup.name("decky-001");
    await using _gateway = await answerInside(sandbox, gateway, "22/tcp", "53/tcp", "53/udp");
    // It forwards, too, but is on internal LANs only.
    await using _inner = await answerInside(sandbox, setup.name("decky-002"), "80/tcp");
    // On the DMZ, but no gateway.
    await using _other = await answerInside(sandbox, setup.name("decky-004"), "80/tcp");
    for (const port of ["22/tcp", "53/tcp", "53/udp"]) await outside.assertAnswers(port);
    for (const port of ["80/tcp", "22/udp"]) assert.equal(await outside.ask(port), "", port);

    // Another set of ports: the base is made again with its services, and nothing else.
    const before = await setup.ids();
    const without = parseJson(writeJson(document).replaceAll('["ssh","dns"]', '["ssh"]'));
    await setup.apply(without, { planOptions });
    const again = ["decky-001", "decky-001-dns", "decky-001-ssh"];
    assert.deepEqual(changed(before, await setup.ids()), again);
    await using _again = await answerInside(sandbox, gateway, "22/tcp", "53/udp");
    await outside.assertAnswers("22/tcp");
    assert.equal(await outside.ask("53/udp"), "");
  }, options);
}

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
    assert.match(message, /^Cannot (create|start) container \S+_gate: cannot publish 997\/udp if/);
    const advice = " that port is taken: free it, or set publish to another address or off; ";
    assert.ok(message.includes(advice), message);
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

for (const engine of [docker, podman]) {
  testApply(`Applier.apply() recreates only a changed value in ${engine.name}`, async (setup) => {
    const { sandbox, name } = setup;
    const document = (password: string) =>
      parseJson(
        writeJson(setup.document({
          lans: { dmz: 0 },
          deckies: { web: { on: { dmz: 2 }, services: ["ssh", "ftp"] } },
        })).replaceAll(plantedPassword, password),
      );
    const env = async () =>
      (await sandbox.docker.getContainer(name("web-ssh")).inspect()).Config.Env;
    await setup.apply(document(plantedPassword));
    assert.ok((await env()).includes(`SSH_ROOT_PASSWORD=${plantedPassword}`));
    const before = await setup.ids();
    await setup.apply(document("another"));
    assert.deepEqual(changed(before, await setup.ids()), ["web-ssh"]);
    assert.ok((await env()).includes("SSH_ROOT_PASSWORD=another"));
    await setup.assertApplied(document("another"));
  }, engine);
}

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
    // Opened as the container has it: an engine may see other files than this program.
    const { State: { Pid } } = await sandbox.docker.getContainer(name("web-ssh")).inspect();
    using captured = await Deno.open(`/proc/${Pid}/root/var/lib/systemd/coredump`);
    const mounts = async (container: string) =>
      (await sandbox.docker.getContainer(name(container)).inspect()).Mounts
        .map((
          it: Docker.ContainerInspectInfo["Mounts"][number],
        ) => [it.Source, it.Destination, it.RW]);
    assert.deepEqual(await mounts("web-ssh"), [[source, "/var/lib/systemd/coredump", true]]);
    assert.deepEqual([await mounts("web"), await mounts("web-ftp")], [[], []]);
    await setup.teardown();
    const { isDirectory, nlink } = await captured.stat();
    assert.ok(isDirectory && nlink! > 0, "a teardown keeps what was captured");
  }, engine);
}
