import assert from "node:assert/strict";
import type { Heartbeat } from "../../agent/heartbeat.ts";
import { AgentSetup, topologyId, versionHash } from "../../tests/support/agent_setup.ts";
import { call } from "../../tests/support/api_setup.ts";
import { container } from "../../tests/support/engine/state.ts";
import { ExampleMaster, withExample } from "../../tests/support/example_master.ts";
import { certificatesOf, rogueAuthority } from "../../tests/support/master_setup.ts";

const never = new AbortController().signal;

function statusOf({ result }: Pick<Heartbeat, "result">): number | null {
  return result.httpStatus;
}

/** A heartbeat that says as little as it may. */
const smallest = {
  host_uuid: "host-1",
  agent_version: "1",
  topology: { observed: { bridges: [], containers: [] } },
};

Deno.test("the example master accepts a heartbeat, keeps it, and shows the host", async () => {
  await withExample(async (master, setup, heartbeat) => {
    assert.match(
      await master.page(),
      /<h2>lab-1<\/h2>\s*<ul><li class="poor"><b>◆\S* not heard of/,
    );
    const { result, body } = await heartbeat();
    assert.deepEqual([result.kind, master.log], ["delivered", []]);
    assert.deepEqual(JSON.parse(master.hosts.all()[0]!.heartbeat), body);
    const idle = await master.page();
    assert.match(
      idle,
      /<article class="good"><h2>lab-1<\/h2>[^]*✔\S* idle<[^]*✔\S* on time<\/b>: last/,
    );
    assert.match(idle, /host-1, agent 1\.2\.3<br>\s*no topology/);
    setup.apply();
    await heartbeat();
    const applied = await master.page();
    assert.match(applied, /✔\S* consistent</);
    assert.ok(applied.includes(`topology ${topologyId} at ${versionHash}`));
    assert.match(applied, /DECNET hosts: 1<\/h1>\s*1 consistent/);
    assert.match(applied, /<title>DECNET</);
  });
});

Deno.test("the example master refuses an unknown host or another's certificate", async () => {
  await withExample(async (master, setup, heartbeat) => {
    const stranger = master.agentOf(setup, "host-2");
    const unknown = await stranger.sendHeartbeat(never);
    stranger.close();
    assert.equal(statusOf(unknown), 404);
    await setup.writeCertificates("worker-1");
    const { result } = await heartbeat();
    assert.equal(statusOf({ result }), 403);
    assert.equal(master.hosts.all()[0]!.heardAt, 0);
    assert.match(
      master.log.join("\n"),
      /404: "host host-2 is not[^]*403: "not the certificate of host-1"/,
    );
    master.hosts.enrol("host-1", Deno.readTextFileSync(`${setup.path}/worker.crt`));
    assert.equal((await heartbeat()).result.kind, "delivered");
    master.hosts.forget("host-1");
    const forgotten = await heartbeat();
    assert.equal(statusOf(forgotten), 404);
  });
});

Deno.test("the example master takes nothing that is no heartbeat, and goes on", async () => {
  await withExample(async (master, _setup, heartbeat) => {
    const client = await certificatesOf("worker-1");
    const { topology } = smallest;
    const item = { type: "network", name: "n" };
    const cases: [number, unknown, string?][] = [
      [422, "no JSON"],
      [422, "null"],
      [422, []],
      [422, {}],
      [422, { ...smallest, host_uuid: 7 }],
      [422, { ...smallest, agent_version: null }],
      [422, { ...smallest, store: { detail: {} } }],
      [422, { ...smallest, topology: [] }],
      [422, { ...smallest, topology: { observed: { bridges: "", containers: [] } } }],
      [422, { ...smallest, topology: { observed: { bridges: [1], containers: [] } } }],
      [422, { ...smallest, topology: { ...topology, last_error: ["x"] } }],
      [422, { ...smallest, topology: { ...topology, drift: { missing: [item] } } }],
      [422, "[".repeat(1_000_000)],
      [413, `"${"x".repeat(1 << 20)}"`],
      [413, [new Uint8Array(1 << 20), new Uint8Array(10)]],
      [404, smallest, "/"],
      [403, smallest],
    ];
    for (const [status, body, path = "/swarm/heartbeat"] of cases) {
      const reply = await call(master.port, path, client, { method: "POST", body });
      assert.equal(reply.status, status, JSON.stringify(body).slice(0, 200));
      assert.deepEqual(Object.keys(reply.body as object), ["detail"]);
    }
    assert.equal((await call(master.port, "/swarm/heartbeat", client)).status, 404);
    assert.equal((await heartbeat()).result.kind, "delivered");
  });
});

Deno.test("the example master refuses clients without a certificate of its CA", async () => {
  await using master = await ExampleMaster.start();
  const rogue = await certificatesOf("worker-1", rogueAuthority);
  const { certificate: _, key: __, ...none } = rogue;
  for (const client of [rogue, { ...none, certificate: "", key: "" }]) {
    const reply = call(master.port, "/swarm/heartbeat", client, { method: "POST", body: smallest });
    await assert.rejects(reply);
  }
  assert.deepEqual(master.log, []);
});

Deno.test("the example master's page lists what is wrong, the worst first", async () => {
  await withExample(async (master, setup, heartbeat) => {
    const told = async () => {
      await heartbeat();
      const page = await master.page();
      const text = page.replace(/<style>[^]*<\/style>|<script>[^]*<\/script>|<[^>]*>/g, " ");
      return text.replace(/\s+/g, " ").replaceAll(" :", ":");
    };
    setup.apply();
    const [decky, lost] = ["decnet_t_11111111_decky-001", "decnet_t_11111111_decky-001-ssh"];
    const all = setup.engine.containers;
    setup.engine.containers = all.filter(({ Names }) => Names[0] !== `/${lost}`)
      .concat(container({ name: "decnet-other" }));
    assert.match(
      await told(),
      new RegExp(
        `◆\\S* drifted missing: container ${lost} unexpected: container decnet-other, running ✔\\S* on time`,
      ),
    );
    setup.engine.containers = all.map((it) =>
      it.Names[0] === `/${decky}` ? { ...it, State: "exited" } : it
    );
    assert.match(await told(), new RegExp(`drifted stopped: container ${decky}, exited`));
    setup.engine.containers = all;
    master.hosts.set("host-1", { topologyId, versionHash: "f".repeat(64) });
    assert.match(
      await told(),
      new RegExp(`◆\\S* not what it should run: expected: ${topologyId} at f{64} `),
    );
    master.hosts.set("host-1", { versionHash });
    assert.match(await told(), /1 consistent/);
    setup.changeStore((store) => store.recordError(topologyId, "no such image"));
    assert.match(await told(), /1 apply failed.*✖\S* apply failed: no such image/);
    await setup.engine.stop();
    assert.match(
      await told(),
      /✖\S* Docker does not answer: \S.*✖\S* apply failed.*◆\S* drift unknown/,
    );
    Deno.removeSync(setup.storePath);
    Deno.mkdirSync(setup.storePath);
    assert.match(await told(), /1 store unreadable.*✖\S* store unreadable: \S/);
  });
});

Deno.test("the example master's page is for this host alone", async () => {
  await using master = await ExampleMaster.start();
  const own = await fetch(master.url);
  await own.body?.cancel();
  assert.equal(own.headers.get("x-content-type-options"), "nosniff");
  const policy = own.headers.get("content-security-policy") ?? "";
  assert.match(
    policy,
    /^default-src 'none'; connect-src 'self'; base-uri 'none'; form-action 'none'/,
  );
  assert.doesNotMatch(policy, /unsafe|http|\*/);
  const elsewhere = await fetch(`${master.url}x`);
  assert.deepEqual([elsewhere.status, await elsewhere.text()], [404, ""]);
  const { port } = new URL(master.url);
  for (const host of ["evil.example", "127.0.0.1.evil.example", `localhost:${port}`, "127.0.0.1"]) {
    await using connection = await connect(Number(port));
    await connection.write(new TextEncoder().encode(
      `GET / HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\n\r\n`,
    ));
    const answer = await new Response(connection.readable).text();
    const status = host.includes("evil") ? 403 : 200;
    assert.ok(answer.startsWith(`HTTP/1.1 ${status} `), answer.slice(0, 100));
    assert.equal(answer.includes("DECNET"), status === 200);
  }
  const address = Deno.networkInterfaces().find(({ family, address }) =>
    family === "IPv4" && !address.startsWith("127.")
  )?.address;
  if (address) await assert.rejects(Deno.connect({ hostname: address, port: Number(port) }));
});

async function connect(port: number) {
  const connection = await Deno.connect({ hostname: "127.0.0.1", port });
  const dispose = () => {
    try {
      connection.close();
    } catch {
      // The stream has closed it.
    }
    return Promise.resolve();
  };
  return Object.assign(connection, { [Symbol.asyncDispose]: dispose });
}

Deno.test("the example master's page escapes what hosts are called and say", async () => {
  await using master = await ExampleMaster.start();
  await using setup = await AgentSetup.create();
  const hostile = `"'><img src=x onerror=alert(1)><!--\u202e</style></script>${"x".repeat(2_000)}`;
  const agent = master.enrol(setup, hostile);
  await agent.sendHeartbeat(never);
  agent.close();
  const body = JSON.parse(master.hosts.all()[0]!.heartbeat);
  const item = { type: hostile, name: hostile, detail: hostile };
  body.agent_version = hostile;
  Object.assign(body.topology, {
    topology_id: hostile,
    last_error: hostile,
    applied_version_hash: hostile,
  });
  const none = { missing: [], stopped: [], unhealthy: [], changed: [] };
  body.topology.drift = { state: "drifted", ...none, unexpected: Array(1_000).fill(item) };
  body.topology.observed = { error: hostile };
  body.store.detail = hostile;
  master.hosts.set("host-1", { heartbeat: JSON.stringify(body), pushed: hostile, topologyId: "1" });
  const page = await master.page();
  assert.ok(page.length < 100_000, `${page.length}`);
  assert.match(page, /&#34;&#39;&#62;&#60;img src=x onerror/);
  assert.doesNotMatch(page, /<img|<!--|\u202e|x{1001}/);
  assert.equal(page.split("</script>").length, 2);
  assert.match(page, /and 980 more/);
});
