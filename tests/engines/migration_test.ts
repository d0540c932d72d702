import assert from "node:assert/strict";
import { versionHash } from "../../topology/hash.ts";
import { writeJson } from "../../topology/json.ts";
import { defaultImages } from "../../topology/plan.ts";
import { putAsFirstAgent, readAsFirstAgent } from "../support/first_agent.ts";
import { python, requirement } from "../support/requirements.ts";
import { type ApplySetup, changed, type Sample, testApply } from "./apply_setup.ts";
import { docker } from "./engines.ts";
import { FirstAgentHost } from "./first_agent_host.ts";

// What docs/migration.md says.

const engine = {
  requirement: requirement(
    "Docker and python3",
    docker.requirement.isPresent && python.isPresent,
  ),
  socket: docker.socket,
};

/** A port that no program has now. */
function freePort(): number {
  const listener = Deno.listen({ hostname: "0.0.0.0", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  listener.close();
  return port;
}

/** A host of the first agent, with its store, and the agent that takes its place. */
interface Migration {
  readonly first: FirstAgentHost;
  readonly sample: Sample;
  readonly hash: string;
  /** Shortens names: `web-TAG` is `web`. */
  readonly short: (texts: readonly string[]) => string[];
  /** Gives the images of the first agent the names that the configuration says. */
  readonly tagImages: () => Promise<void>;
  readonly ports: { readonly ssh: number; readonly snmp: number };
}

async function migrate(setup: ApplySetup): Promise<Migration> {
  const { sandbox, id } = setup;
  const { tag } = sandbox;
  // Services of the first agent have no other part that shows whose test they are of.
  const [gate, files] = [`gate-${tag}`, `files-${tag}`];
  const sample: Sample = {
    lans: { DMZ: 0, inside: 1 },
    deckies: {
      [gate]: { on: { DMZ: 2, inside: 2 }, services: ["ssh", "snmp"], forwards: true },
      [files]: { on: { inside: 3 }, services: ["docker_api", "smtp_relay"] },
    },
  };
  const ports = { ssh: freePort(), snmp: freePort() };
  const image = await sandbox.importImage(`decnet-topo-${tag}-${gate}-ssh:latest`);
  const [base, services] = [`decnet-agent-test-${tag}-base`, `decnet-agent-test-${tag}-service`];
  setup.planOptions = {
    ...setup.planOptions,
    images: { ...defaultImages, base: `${base}:1`, service: `${services}:{service}` },
    publish: "0.0.0.0",
    services: new Map([
      ["ssh", { ports: [`${ports.ssh}/tcp`] as const }],
      ["snmp", { ports: [`${ports.snmp}/udp`] as const }],
    ]),
  };
  const first = new FirstAgentHost(setup, {
    id,
    sample,
    image,
    // All of them as TCP.
    ports: { [gate]: [`${ports.ssh}/tcp`, `${ports.snmp}/tcp`] },
  });
  await first.build();
  const document = setup.document(sample);
  const hash = await versionHash(document);
  await putAsFirstAgent(setup.storePath, {
    id,
    hash,
    document: writeJson(document),
    at: 1_700_000_000,
  });
  const tagImages = async () => {
    await sandbox.docker.getImage(image).tag({ repo: base, tag: "1" });
    for (const service of ["ssh", "snmp", "docker_api", "smtp_relay"]) {
      await sandbox.docker.getImage(image).tag({ repo: services, tag: service });
    }
  };
  const short = (texts: readonly string[]) => texts.map((it) => it.replaceAll(`-${tag}`, ""));
  return { first, sample, hash, short, tagImages, ports };
}

const [services, bases] = [
  ["files-docker_api", "files-smtp_relay", "gate-snmp", "gate-ssh"],
  ["files", "gate"],
];
const oldServices = ["files-docker-api", "files-smtp_relay", "gate-snmp", "gate-ssh"];

testApply("an apply takes over what the first agent made", async (setup) => {
  const { sandbox } = setup;
  const { sample, hash, short, tagImages, ports } = await migrate(setup);
  const drift = await setup.drift(sample);
  const named = (list: readonly { name: string; detail: string }[]) =>
    short(list.map(({ name, detail }) => `${name.replace(setup.name(""), "")} ${detail}`.trim()));
  assert.deepEqual(
    [drift.state, named(drift.missing), named(drift.unexpected)],
    ["drifted", services, oldServices.map((it) => `${it} running, of this topology`)],
  );
  assert.deepEqual([drift.stopped, drift.unhealthy, drift.changed], [[], [], []]);

  const before = await setup.ids();
  const { kind, message, calls } = await setup.refusal(sample);
  assert.deepEqual([kind, calls], ["failed", []]);
  assert.match(message, /^missing images: /);
  assert.deepEqual(changed(before, await setup.ids()), []);
  assert.deepEqual([setup.row()?.versionHash, setup.row()?.lastError], [hash, message]);

  await tagImages();
  const { steps } = await setup.apply(sample);
  const step = (action: string, names: readonly string[]) =>
    names.map((name) => `${action} container ${name}`);
  assert.deepEqual(
    short(steps).sort(),
    [
      ...step("create", [...bases, ...services]),
      ...step("remove", [...bases, ...oldServices]),
    ].sort(),
  );
  const after = await setup.ids();
  assert.ok(!short(changed(before, after)).some((it) => ["dmz", "inside"].includes(it)));
  await setup.assertApplied(sample);
  const gate = sandbox.docker.getContainer(setup.name(`gate-${sandbox.tag}`));
  assert.deepEqual(
    Object.keys((await gate.inspect()).HostConfig.PortBindings).sort(),
    [
      `${ports.ssh}/tcp`,
      `${ports.snmp}/udp`,
    ].sort(),
  );

  // What a collector of log lines looks for, as the first agent's does.
  const followed = (await sandbox.containers()).filter(({ State, Labels }) =>
    State === "running" && Labels?.["decnet.topology.service"] === "true"
  );
  const names = followed.map(({ Names: [name] }) => name!.slice(1).replace(setup.name(""), ""));
  assert.deepEqual(short(names).sort(), services);
  const ssh = await sandbox.docker.getContainer(setup.name(`gate-${sandbox.tag}-ssh`)).inspect();
  assert.ok(ssh.Config.Env.includes(`NODE_NAME=gate-${sandbox.tag}`));

  await setup.teardown();
  await setup.assertTornDown();
}, engine);

testApply("a teardown without a store leaves networks of the first agent", async (setup) => {
  const { sample, tagImages } = await migrate(setup);
  await Deno.remove(setup.storePath);
  await tagImages();
  await setup.teardown();
  assert.deepEqual([...(await setup.ids()).keys()], ["dmz", "inside"]);
  // They are as planned, so that they are used again.
  const before = await setup.ids();
  await setup.apply(sample);
  await setup.assertApplied(sample);
  const after = await setup.ids();
  for (const lan of ["dmz", "inside"]) assert.equal(after.get(lan), before.get(lan));
}, engine);

testApply("a subnet that has changed needs a teardown first", async (setup) => {
  const { sandbox } = setup;
  const { sample, tagImages } = await migrate(setup);
  await tagImages();
  const moved = { ...sample, lans: { ...sample.lans, inside: 5 } };
  const { message, calls } = await setup.refusal(moved);
  assert.deepEqual(calls, []);
  assert.equal(
    message,
    `network ${setup.name("inside")} exists and does not belong to this topology (driver bridge, ` +
      `${sandbox.subnet(1)}): remove it`,
  );
  await setup.teardown();
  await setup.assertTornDown();
  await setup.apply(moved);
  await setup.assertApplied(moved);
}, engine);

testApply("another topology of the first agent stands in the way", async (setup) => {
  const { sandbox } = setup;
  const { tag } = sandbox;
  const [lan, decky, port] = [`lan-${tag}`, `gate-${tag}`, freePort()];
  const other: Sample = {
    id: `${[...tag].reverse().join("")}-other`,
    lans: { [lan]: 0 },
    deckies: { [decky]: { on: { [lan]: 2 }, services: ["ssh"], forwards: true } },
  };
  const image = await sandbox.importImage(`decnet-agent-test-${tag}-base:1`);
  const ports = { [decky]: [`${port}/tcp`] };
  const first = new FirstAgentHost(setup, { id: other.id!, sample: other, image, ports });
  await first.build();
  setup.planOptions = {
    ...setup.planOptions,
    publish: "0.0.0.0",
    services: new Map([["ssh", { ports: [`${port}/tcp`] as const }]]),
  };
  const sample: Sample = {
    lans: { dmz: 0 },
    deckies: { gate: { on: { dmz: 2 }, services: ["ssh"], forwards: true } },
  };
  const isTaken = `subnet ${sandbox.subnet(0)} of ${setup.name("dmz")} is taken by network ` +
    `${first.name(lan)} (${sandbox.subnet(0)}): remove it, or choose another subnet`;
  const { message } = await setup.refusal(sample);
  assert.ok(message.includes(isTaken), message);
  assert.match(message, new RegExp(`publishes ${port}/tcp on 0.0.0.0, but that port is taken: `));
  // Nothing was stored of it: its containers are found by their labels, its network is not.
  await setup.teardown(other.id);
  assert.deepEqual(await sandbox.containers(), []);
  assert.equal((await setup.refusal(sample)).message, isTaken);
  await sandbox.docker.getNetwork(first.name(lan)).remove();
  await setup.apply(sample);
  await setup.assertApplied(sample);
}, engine);

testApply("the first agent opens our store, and needs its names free", async (setup) => {
  const { sandbox, id } = setup;
  const { first, sample, hash, tagImages } = await migrate(setup);
  await tagImages();
  const ofCompose = async () => {
    const label = [`com.docker.compose.project=decnet-topo-${sandbox.tag}`];
    return (await sandbox.docker.listContainers({ all: true, filters: { label } })).length;
  };
  assert.equal(await ofCompose(), 6);
  await setup.apply(sample);
  assert.equal(await ofCompose(), 0);
  const [row, ...more] = await readAsFirstAgent(setup.storePath);
  assert.deepEqual([row?.[0], row?.[1], row?.[4], more], [id, hash, null, []]);
  const [decky, values] = Object.entries(sample.deckies)[0]!;
  await assert.rejects(first.buildDecky(decky, values), /is already in use by container/);
  await setup.teardown();
  assert.deepEqual(await readAsFirstAgent(setup.storePath), []);
  await first.build();
  assert.equal(await ofCompose(), 6);
}, engine);
