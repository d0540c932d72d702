import type { Drift } from "../../topology/drift.ts";
import type { DockerSandbox } from "./sandbox.ts";
import type { ThreeLans } from "./three_lans.ts";

/** The differences of each kind: short names with their details. */
export type Expected = Partial<
  Record<Exclude<keyof Drift, "state">, [name: string, detail: string][]>
>;

/** A change to what was made as planned, the drift that it makes, and how it is undone. */
interface Change {
  readonly name: string;
  readonly make: () => Promise<unknown>;
  readonly expected: Expected;
  readonly repair: () => Promise<unknown>;
}

/** What an operator, a crash or another tool may do to a topology. */
export function changes(sandbox: DockerSandbox, lans: ThreeLans): Change[] {
  const name = (short: string) => lans.name(short);
  const handle = (short: string) => sandbox.docker.getContainer(name(short));
  const make = (short: string) => lans.makeContainer(name(short));
  const remove = (short: string) => sandbox.remove(name(short));
  const replace = async (short: string) => {
    await remove(short);
    await make(short);
  };
  const ours = "of this topology";
  return [
    {
      name: "a service that was killed",
      make: () => sandbox.kill(name("decky-001-ssh")),
      expected: { stopped: [["decky-001-ssh", "exited"]] },
      repair: () => handle("decky-001-ssh").start(),
    },
    {
      name: "a service that is gone",
      make: () => remove("decky-002-http"),
      expected: { missing: [["decky-002-http", ""]] },
      repair: () => make("decky-002-http"),
    },
    {
      name: "a service that was made and never started",
      make: async () => {
        await remove("decky-003-smb");
        await lans.makeContainer(name("decky-003-smb"), { isStarted: false });
      },
      expected: { stopped: [["decky-003-smb", "created"]] },
      repair: () => handle("decky-003-smb").start(),
    },
    {
      name: "a service that is paused",
      make: () => handle("decky-003-mysql").pause(),
      expected: { unhealthy: [["decky-003-mysql", "paused"]] },
      repair: () => handle("decky-003-mysql").unpause(),
    },
    {
      name: "a service that restarts again and again",
      make: async () => {
        await remove("decky-001-ssh");
        await lans.makeContainer(name("decky-001-ssh"), { command: "/exit", restarts: true });
      },
      expected: { unhealthy: [["decky-001-ssh", "restarting"]] },
      repair: () => replace("decky-001-ssh"),
    },
    {
      name: "a service whose health check fails",
      make: async () => {
        await remove("decky-002-http");
        await lans.makeContainer(name("decky-002-http"), { failsHealthCheck: true });
      },
      expected: { unhealthy: [["decky-002-http", "health check failing"]] },
      repair: () => replace("decky-002-http"),
    },
    {
      name: "a base that is gone, without its services being reported",
      make: () => remove("decky-003"),
      expected: { missing: [["decky-003", ""]] },
      repair: async () => {
        for (const short of ["decky-003-smb", "decky-003-mysql"]) await remove(short);
        for (const short of ["decky-003", "decky-003-smb", "decky-003-mysql"]) await make(short);
      },
    },
    {
      name: "services whose base was recreated without them",
      make: () => replace("decky-003"),
      expected: {
        changed: [
          ["decky-003-mysql", `does not share the network of ${name("decky-003")}`],
          ["decky-003-smb", `does not share the network of ${name("decky-003")}`],
        ],
      },
      repair: async () => {
        for (const short of ["decky-003-smb", "decky-003-mysql"]) await replace(short);
      },
    },
    {
      name: "a base at another address",
      make: async () => {
        await sandbox.disconnect(name("lan-00"), name("decky-004"));
        await sandbox.connect(name("lan-00"), name("decky-004"), sandbox.address(0, 99));
      },
      expected: {
        changed: [[
          "decky-004",
          `address ${sandbox.address(0, 99)} on ${name("lan-00")}, not ${sandbox.address(0, 3)}`,
        ]],
      },
      repair: async () => {
        await sandbox.disconnect(name("lan-00"), name("decky-004"));
        await sandbox.connect(name("lan-00"), name("decky-004"), sandbox.address(0, 3));
      },
    },
    {
      name: "a base on a LAN too many",
      make: () => sandbox.connect(name("lan-01"), name("decky-004"), sandbox.address(1, 99)),
      expected: { changed: [["decky-004", `attached to ${name("lan-01")}`]] },
      repair: () => sandbox.disconnect(name("lan-01"), name("decky-004")),
    },
    {
      name: "a LAN of another subnet, and the bases that are not on it",
      make: () => lans.replaceNetwork(name("lan-00"), { subnet: sandbox.subnet(50) }),
      expected: {
        changed: [
          ["decky-001", `not attached to ${name("lan-00")}`],
          ["decky-004", `not attached to ${name("lan-00")}`],
          ["lan-00", `subnet ${sandbox.subnet(50)}, not ${sandbox.subnet(0)}`],
        ],
      },
      repair: async () => {
        await lans.replaceNetwork(name("lan-00"));
        await lans.reattach(name("lan-00"));
      },
    },
    {
      name: "a LAN with a way out",
      make: async () => {
        await lans.replaceNetwork(name("lan-01"), { internal: false });
        await lans.reattach(name("lan-01"));
      },
      expected: { changed: [["lan-01", "not internal"]] },
      repair: async () => {
        await lans.replaceNetwork(name("lan-01"));
        await lans.reattach(name("lan-01"));
      },
    },
    {
      name: "what was not planned",
      make: async () => {
        await sandbox.makeNetwork(name("net-9"), { subnet: sandbox.subnet(9) });
        await sandbox.makeContainer(name("new"), { labels: lans.labels });
        await sandbox.makeContainer(name("old"), { isStarted: false });
      },
      expected: {
        unexpected: [["net-9", ""], ["new", `running, ${ours}`], ["old", "created"]],
      },
      repair: async () => {
        for (const short of ["new", "old"]) await remove(short);
        await sandbox.docker.getNetwork(name("net-9")).remove();
      },
    },
  ];
}
