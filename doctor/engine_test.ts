import assert from "node:assert/strict";
import {
  applyAgain,
  examineHost,
  normalise,
  testFaults,
  unitFile,
  withContext,
} from "../tests/support/doctor_setup.ts";
import {
  container,
  type ContainerItem,
  network,
  type NetworkItem,
} from "../tests/support/engine/state.ts";

const tearDown =
  "to keep it, let the master apply it again; to remove it, replace ID with its id: " +
  "/usr/local/bin/decnet-agent teardown ID FLAGS";

/** Root looks for the service: it cannot try what that may do. */
const forService = { files: { [unitFile]: "[Service]\nUser=decnet-agent\n" } };

testFaults([
  {
    name: "a socket that is closed to the agent",
    plant: async ({ engine, path }) => {
      await Deno.chown(engine.socketPath, 0, 991);
      await Deno.chmod(engine.socketPath, 0o660);
      await Deno.chmod(path, 0o755);
      return forService;
    },
    finding: "socket: failed",
    details: /permission denied: user decnet-agent is not in group docker.*mode 0660/,
    fix: "add user decnet-agent to group docker (usermod -aG)",
    code: 3,
  },
  {
    name: "a folder in place of the socket",
    plant: async ({ engine }) => {
      await engine.stop();
      await Deno.mkdir(engine.socketPath);
    },
    finding: "socket: failed",
    details: /is no socket, but a folder/,
    fix: "remove the folder and restart the engine: rmdir PATH/docker.sock && systemctl " +
      "restart docker.service",
  },
  {
    name: "an engine that answers with errors",
    plant: ({ engine }) => {
      engine.fault = { kind: "status", status: 500, message: "no space" };
    },
    finding: "engine: failed",
    details: /Cannot observe Docker at .*: GET \/networks was answered with 500 \(no space\)/,
    fix: "restart the engine: systemctl restart docker.service",
  },
]);

Deno.test("doctor names the paths that the agent passes over", () =>
  withContext(async (setup) => {
    const { path, engine: { socketPath } } = setup;
    await Deno.chmod(path, 0o755);
    await Deno.chmod(socketPath, 0o666);
    const closed = `${path}/closed.sock`;
    using _closed = Deno.listen({ transport: "unix", path: closed });
    await Deno.chmod(closed, 0o600);
    const absent = `${path}/absent.sock`;
    const socketOf = async (...sockets: string[]) =>
      (await examineHost(setup, { ...forService, sockets })).of("socket");
    const passedOver = `passed over: ${absent} (no such file), ${closed} (permission denied)`;
    const found = await socketOf(absent, closed, socketPath);
    assert.equal(found.state, "ok", found.details);
    assert.ok(found.details.endsWith(`it accepts connections; ${passedOver}`), found.details);
    assert.equal((await socketOf(socketPath, closed)).details.includes("passed over"), false);
    const denied = await socketOf(absent, closed);
    assert.equal(denied.state, "failed");
    assert.match(denied.details, /^permission denied: user decnet-agent is not in group root; /);
    assert.ok(denied.details.endsWith(passedOver), denied.details);
    const fix = "let user decnet-agent read and write PATH/closed.sock (setfacl)";
    assert.equal(normalise(setup, denied.fix), fix);
  }));

const [idA, idB] = ["aaaaaaaa-1", "bbbbbbbb-2"];
const label = (id: string) => ({ "decnet.topology.id": id });
const remove = "find out what made it, and remove it when it is not needed any more";

/** What Docker has besides the applied topology, what is said of it, and the fix. */
const unexpected: Record<
  string,
  { containers?: ContainerItem[]; networks?: NetworkItem[]; details: RegExp; fix: string }
> = {
  "a container without labels": {
    containers: [container({ name: "decnet-probe" })],
    details: /the agent leaves alone what is not its own: decnet-probe$/,
    fix: remove,
  },
  "a copy of a decoy, with its labels": {
    containers: [container({
      name: "decnet_t_aaaaaaaa_web-copy",
      labels: { ...label(idA), "decnet.topology.image": "sha256:of-the-decoy" },
    })],
    details: /leaves alone what is not its own: decnet_t_aaaaaaaa_web-copy$/,
    fix: remove,
  },
  "a network of another topology": {
    networks: [
      network({ name: "decnet_t_aaaaaaaa_lan", subnet: "10.9.0.0/24", labels: label(idA) }),
    ],
    details: /; labels name topology aaaaaaaa-1$/,
    fix: tearDown,
  },
  "containers of several topologies": {
    containers: [
      container({ name: "decnet_t_aaaaaaaa_web", labels: label(idA) }),
      container({ name: "decnet_t_bbbbbbbb_web", labels: label(idB) }),
      container({ name: "decnet-probe" }),
    ],
    details:
      /; labels name topology aaaaaaaa-1, bbbbbbbb-2; the agent leaves alone .*: decnet-probe$/,
    fix: tearDown,
  },
};

for (const [what, { containers = [], networks = [], details, fix }] of Object.entries(unexpected)) {
  for (const isApplied of [true, false]) {
    testFaults([{
      name: `${what} ${isApplied ? "beside a topology" : "on an idle host"}`,
      plant: async ({ engine, storePath }) => {
        if (!isApplied) {
          await Deno.remove(storePath);
          // What has stopped is no drift on an idle host: it must not be named for what runs.
          const name = "decnet-old-backup";
          engine.containers = [container({ name, labels: label("cccccccc-3"), state: "exited" })];
          engine.networks = [];
        }
        engine.networks = [...engine.networks, ...networks];
        engine.containers = [...engine.containers, ...containers];
      },
      finding: "drift: warning",
      details,
      fix,
    }]);
  }
}

Deno.test("doctor has a topology applied again whatever else is unexpected", () =>
  withContext(async (setup) => {
    const { engine } = setup;
    engine.containers = [...engine.containers.slice(0, 2), container({ name: "decnet-probe" })];
    const { details, fix } = (await examineHost(setup)).of("drift");
    assert.match(details, /missing decnet_t_11111111_decky-001.*not its own: decnet-probe$/);
    assert.equal(normalise(setup, fix), applyAgain);
  }));
