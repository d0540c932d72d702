import assert from "node:assert/strict";
import {
  type ApplyHost,
  onHost,
  refusalOf,
  requestOf,
  threeLans,
} from "../tests/support/apply_host.ts";
import { until } from "../tests/support/environment.ts";

const never = new AbortController().signal;
const topologyId = threeLans.plan.topologyId;

/** The port of a master that accepts connections only while it is open. */
class Port implements Disposable {
  #listener: Deno.TcpListener | null = null;
  #number = 0;
  connectionCount = 0;

  /** Opens the port, at first a free one. */
  open(): this {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: this.#number });
    this.#listener = listener;
    this.#number = listener.addr.port;
    this.#accept(listener);
    return this;
  }

  close(): void {
    this.#listener?.close();
    this.#listener = null;
  }

  /** Called after each connection. */
  onConnection = () => {};

  /** The master there, as it is configured. */
  get master() {
    return { host: "127.0.0.1", port: this.#number, name: "master.test", fingerprint: null };
  }

  async #accept(listener: Deno.TcpListener): Promise<void> {
    for await (const connection of listener) {
      connection.close();
      this.connectionCount++;
      this.onConnection();
    }
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** A port that closes after its first connection, and so looks like a master that was cut off. */
function portThatCloses(): Port {
  const port = new Port().open();
  port.onConnection = () => port.close();
  return port;
}

function applyWith(host: ApplyHost, { master }: Port, signal = never) {
  return host.applier({ master }).apply(requestOf(threeLans), { signal });
}

onHost.test("D26 Applier.apply() removes new networks that cut the master off", async (host) => {
  using port = portThatCloses();
  const { code, message } = await refusalOf(applyWith(host, port));
  assert.equal(code, "failed");
  const { host: name, port: number } = port.master;
  const start = `the master at ${name}:${number} accepted a connection before the networks of`;
  assert.ok(message.startsWith(start), message);
  assert.match(message, /; they were removed again\. A LAN .* choose other subnets$/);
  assert.ok(message.length <= 500);
  const [create, remove] = ["POST /networks/create", "DELETE /networks/{id}"];
  assert.deepEqual(host.changes(), [create, create, create, remove, remove, remove]);
  assert.equal(host.engine.networks.some(({ Labels: it }) => it["decnet.topology.spec"]), false);
  host.assertOthers();
  assert.equal(host.row()?.lastError, message);
  await host.teardown(topologyId);
  host.assertNothingLeft();
});

onHost.test("D26 Applier.apply() connects to the master only for new networks", async (host) => {
  using port = new Port().open();
  await applyWith(host, port);
  assert.equal(port.connectionCount, 2);
  await host.assertApplied(threeLans);
  await applyWith(host, port);
  // A container alone cuts nothing off.
  host.engine.containers = host.engine.containers.slice(1);
  assert.ok((await applyWith(host, port)).changes > 0);
  await host.applier({ master: port.master }).preview(requestOf(threeLans), never);
  assert.equal(port.connectionCount, 2);
  // A master that does not answer before them is not needed.
  await host.teardown(topologyId);
  port.close();
  await applyWith(host, port);
  await host.assertApplied(threeLans);
});

onHost.test("D26 Applier.apply() connects to the master a second time", async (host) => {
  using port = portThatCloses();
  const applied = applyWith(host, port);
  await until(() => host.engine.changes.length === 3);
  port.onConnection = () => {};
  await new Promise((resolve) => setTimeout(resolve, 300));
  port.open();
  await applied;
  assert.equal(port.connectionCount, 2);
  await host.assertApplied(threeLans);
});

onHost.test("D26 Applier.apply() that failed checks the networks that it made", async (host) => {
  using port = portThatCloses();
  const fault = { kind: "status", status: 500, message: "no", path: "/networks/create" } as const;
  host.engine.fault = { ...fault, afterRequests: 2 };
  const { message } = await refusalOf(applyWith(host, port));
  assert.match(message, /^the master at .*; they were removed again/);
  assert.equal(host.changes().filter((it) => it.startsWith("DELETE")).length, 2);
  // With a master that can be reached, they stay for the next apply.
  port.onConnection = () => {};
  port.open();
  host.engine.fault = { ...fault, afterRequests: 2 };
  const refusal = await refusalOf(applyWith(host, port));
  assert.match(refusal.message, /^Cannot create network /);
  host.engine.fault = undefined;
  assert.equal((await applyWith(host, port)).changes, 10);
});

onHost.test("D26 Applier.apply() removes networks of calls that were cut off", async (host) => {
  using port = portThatCloses();
  host.engine.fault = { kind: "reset", effect: "after", path: "/networks/create" };
  const { message } = await refusalOf(applyWith(host, port));
  assert.match(message, /^the master at .*; they were removed again/);
  assert.equal(host.changes().filter((it) => it.startsWith("DELETE")).length, 3);
  await host.teardown(topologyId);
  host.assertNothingLeft();
});

onHost.test("D26 Applier.apply() that is stopped leaves no unchecked network", async (host) => {
  using port = portThatCloses();
  const stop = new AbortController();
  const refusal = refusalOf(applyWith(host, port, stop.signal));
  await until(() => host.engine.changes.length === 3);
  stop.abort();
  assert.match((await refusal).message, /^interrupted/);
  await host.teardown(topologyId);
  assert.equal(host.changes().filter((it) => it.startsWith("DELETE")).length, 3);
});

onHost.test("D26 Applier.apply() says which networks it could not remove", async (host) => {
  using port = portThatCloses();
  const fault = { kind: "status", status: 500, message: "busy", method: "DELETE" } as const;
  host.engine.fault = fault;
  const { message } = await refusalOf(applyWith(host, port));
  assert.match(message, /; they could not be removed \(DELETE .* 500 \(busy\)\): tear the top/);
  host.engine.fault = undefined;
  await host.teardown(topologyId);
  host.assertNothingLeft();
});
