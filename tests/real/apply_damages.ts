import type { ApplySetup } from "./apply_setup.ts";
import type { Sample } from "./apply_sample.ts";
import { eventually } from "./waiting.ts";

/** What is applied before it is damaged. */
export const sample: Sample = {
  lans: { dmz: 0, inside: 1 },
  deckies: {
    web: { on: { dmz: 2, inside: 2 }, services: ["http", "ssh"] },
    files: { on: { inside: 3 }, services: ["smb"] },
    front: { on: { dmz: 4 } },
  },
};

/** What an operator or a crash may do, and what mends it. */
export interface Damage {
  readonly name: string;
  readonly make: (setup: ApplySetup) => Promise<unknown>;
  /** What is made anew. */
  readonly anew: readonly string[];
  /** What is done, in order; all else is right. */
  readonly steps: readonly string[];
}

/** All of them. */
export const damages: readonly Damage[] = [
  {
    name: "a service that was removed",
    make: ({ playground, name }) => playground.remove(name("web-ssh")),
    anew: ["web-ssh"],
    steps: ["create container web-ssh"],
  },
  {
    name: "a service that was killed",
    make: ({ playground, name }) => playground.kill(name("files-smb")),
    anew: [],
    steps: ["start container files-smb"],
  },
  {
    name: "a service that is paused",
    make: ({ playground, name }) => playground.docker.getContainer(name("files-smb")).pause(),
    anew: [],
    steps: ["unpause container files-smb"],
  },
  {
    name: "a base that is paused",
    make: ({ playground, name }) => playground.docker.getContainer(name("files")).pause(),
    anew: [],
    steps: ["unpause container files"],
  },
  {
    name: "a base that was removed, with its services",
    make: ({ playground, name }) => playground.remove(name("files")),
    anew: ["files", "files-smb"],
    steps: ["remove container files-smb", "create container files", "create container files-smb"],
  },
  {
    name: "a base that was stopped, with its services",
    make: ({ playground, name }) => playground.kill(name("files")),
    anew: [],
    steps: ["start container files", "restart container files-smb"],
  },
  {
    name: "a base that was stopped and a service that is paused",
    make: async ({ playground, name }) => {
      await playground.docker.getContainer(name("files-smb")).pause();
      await playground.kill(name("files"));
    },
    anew: ["files-smb"],
    steps: ["remove container files-smb", "start container files", "create container files-smb"],
  },
  {
    name: "a decky that was stopped",
    make: async ({ playground, name }) => {
      await playground.kill(name("files-smb"));
      await playground.kill(name("files"));
    },
    anew: [],
    steps: ["start container files", "start container files-smb"],
  },
  {
    name: "a base that was cut off its network",
    make: ({ playground, name }) => playground.disconnect(name("inside"), name("files")),
    anew: ["files", "files-smb"],
    steps: [
      "remove container files-smb",
      "remove container files",
      "create container files",
      "create container files-smb",
    ],
  },
  {
    name: "a base that was attached to one network more",
    make: ({ playground, name }) =>
      playground.connect(name("inside"), name("front"), playground.address(1, 99)),
    anew: ["front"],
    steps: ["remove container front", "create container front"],
  },
  {
    name: "a base that was restarted, with its services",
    make: async ({ playground, name }) => {
      const base = playground.docker.getContainer(name("web"));
      await eventually("services that have been up for a while", async () => {
        const services = (await playground.containers()).filter(({ Names: [it] }) =>
          it!.startsWith(`/${name("web-")}`)
        );
        return services.every(({ Status }) => /^Up ([3-9]|\d\d|About)/.test(Status)) || undefined;
      });
      await base.restart({ t: 0 });
    },
    anew: [],
    steps: ["restart container web-http", "restart container web-ssh"],
  },
  {
    name: "a network that was removed",
    make: async ({ playground, name }) => {
      for (const decky of ["web", "files"]) {
        await playground.disconnect(name("inside"), name(decky));
      }
      await playground.docker.getNetwork(name("inside")).remove();
    },
    anew: ["files", "files-smb", "inside", "web", "web-http", "web-ssh"],
    steps: [
      ...["files-smb", "web-http", "web-ssh", "files", "web"].map((it) => `remove container ${it}`),
      "create network inside",
      ...["files", "files-smb", "web", "web-http", "web-ssh"].map((it) => `create container ${it}`),
    ],
  },
  {
    name: "a network that was removed while its decky was stopped",
    make: async ({ playground, name }) => {
      for (const container of ["files-smb", "files", "web-ssh", "web-http", "web"]) {
        await playground.kill(name(container));
      }
      await playground.docker.getNetwork(name("inside")).remove();
    },
    anew: ["files", "files-smb", "inside", "web", "web-http", "web-ssh"],
    steps: [
      ...["files-smb", "web-http", "web-ssh", "files", "web"].map((it) => `remove container ${it}`),
      "create network inside",
      ...["files", "files-smb", "web", "web-http", "web-ssh"].map((it) => `create container ${it}`),
    ],
  },
  {
    name: "a stopped decky whose network somebody else has made anew",
    make: async ({ playground, name, id }) => {
      for (const container of ["files-smb", "files", "web-ssh", "web-http", "web"]) {
        await playground.kill(name(container));
      }
      await playground.docker.getNetwork(name("inside")).remove();
      await playground.makeNetwork(name("inside"), {
        subnet: playground.subnet(1),
        internal: true,
        labels: { "decnet.topology.id": id },
      });
    },
    anew: ["files", "files-smb", "inside", "web", "web-http", "web-ssh"],
    // It turns out only when they cannot be started.
    steps: ["files", "files-smb", "web", "web-http", "web-ssh"].map((it) =>
      `${/-/.test(it) ? "create" : "start"} container ${it}`
    ),
  },
];
