import { flagsOf } from "./command_line.ts";
import { applyAgain, lineOf, reload, testFaults } from "./doctor_fault.ts";
import { unitFile } from "./doctor_setup.ts";

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
    check: "socket",
    state: "failed",
    saw: /permission denied: user decnet-agent is not in group docker.*mode 0660/,
    mend: () => "usermod -aG docker decnet-agent",
    code: 3,
  },
  {
    name: "a socket that only root's group may use",
    plant: async ({ engine, path }) => {
      await Deno.chmod(engine.socketPath, 0o660);
      await Deno.chmod(path, 0o755);
      return forService;
    },
    check: "socket",
    state: "failed",
    saw: /permission denied: user decnet-agent is not in group root/,
    mend: ({ engine }) => `setfacl -m u:decnet-agent:rw ${engine.socketPath}`,
    code: 3,
  },
  {
    name: "an absent engine",
    plant: (setup) => setup.engine.stop(),
    check: "socket",
    state: "failed",
    saw: /docker\.sock: no such socket/,
    mend: () => "systemctl restart docker",
    code: 2,
  },
  {
    name: "a folder in place of the socket",
    plant: async ({ engine }) => {
      await engine.stop();
      await Deno.mkdir(engine.socketPath);
    },
    check: "socket",
    state: "failed",
    saw: /is no socket, but a folder/,
    mend: ({ engine }) => `rmdir ${engine.socketPath} && systemctl restart docker`,
    code: 2,
  },
  {
    name: "an engine that answers with errors",
    plant: ({ engine }) => {
      engine.fault = { kind: "status", status: 500, message: "no space" };
    },
    check: "engine",
    state: "failed",
    saw: /Cannot observe Docker at .*: GET \/networks was answered with 500 \(no space\)/,
    mend: () => "systemctl restart docker",
    code: 2,
  },
  {
    name: "a wrong prefix",
    plant: () => ({ ini: "[agent]\nnetwork-prefix = honey_\n" }),
    check: "prefixes",
    state: "warning",
    saw: /network-prefix is honey_, by which decnet_t_11111111_lan-00 would not be known/,
    mend: () => `sed -i '2s|.*|network-prefix = honey_,decnet_t_|' /etc/decnet/decnet.ini${reload}`,
    code: 1,
  },
  {
    name: "two wrong prefixes",
    plant: (setup) => ({
      flags: [...flagsOf(setup), "--container-prefix=honey_"],
      ini: "[agent]\nnetwork-prefix = honey_\n",
    }),
    check: "prefixes",
    state: "warning",
    saw:
      /network-prefix is honey_, by which .*lan-00 would.*; container-prefix is honey_, by which decnet_t_/,
    mend: () =>
      `sed -i '2s|.*|network-prefix = honey_,decnet_t_|' /etc/decnet/decnet.ini${reload} && ` +
      "start it with --container-prefix=honey_,decnet_t_",
    code: 1,
  },
  {
    name: "drift",
    plant: ({ engine }) => {
      engine.containers = engine.containers.slice(0, 2);
    },
    check: "drift",
    state: "warning",
    saw: /missing decnet_t_11111111_decky-001/,
    mend: applyAgain,
    code: 1,
  },
  {
    name: "a topology that runs, of which the store knows nothing",
    plant: ({ storePath }) => Deno.remove(storePath),
    check: "drift",
    state: "warning",
    saw: /nothing is applied, but .*unexpected.*where it should stay, apply it again, as a master/,
    mend: (setup) => lineOf(setup, "teardown", "11111111-2222-3333-4444-555555555555"),
    code: 1,
  },
]);
