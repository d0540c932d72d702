import assert from "node:assert/strict";
import type { Identity } from "../../master/certificates.ts";
import { versionHash } from "../../topology/hash.ts";
import { parseJson, writeJson } from "../../topology/json.ts";
import { documentOf, type Sample } from "../engines/apply_setup.ts";
import { DockerSandbox } from "../engines/sandbox.ts";
import { call, type Reply } from "../support/api_setup.ts";
import { createAuthority, writeAgentDirectory } from "../support/certificates.ts";
import { freePort, until } from "../support/environment.ts";
import { TlsMaster } from "../support/tls_master.ts";
import { asUser, type Machine } from "./machine.ts";

/** The agent as the machine's systemd runs it, by default by its unit of the running agent. */
export class Service {
  constructor(readonly machine: Machine, readonly unit = "decnet-agent.service") {}

  /** Ends when systemd takes it for started. Throws `Error` when it fails. */
  async start(): Promise<void> {
    await this.machine.run(["systemctl", "start", this.unit]);
  }

  async stop(): Promise<void> {
    await this.machine.run(["systemctl", "stop", this.unit]);
  }

  /** A property of the unit, as `systemctl show` prints it. */
  async property(name: string): Promise<string> {
    const show = ["systemctl", "show", "--value", "-p", name, this.unit];
    return (await this.machine.run(show)).stdout.trim();
  }

  /** The lines of `systemctl status`. */
  async status(): Promise<string> {
    const accept = () => true; // 3 says that it does not run.
    const show = ["systemctl", "status", "--no-pager", this.unit];
    return (await this.machine.run(show, { accept })).stdout;
  }

  /** All that it has logged, and what systemd has about it. */
  async journal(): Promise<string> {
    await this.machine.run(["journalctl", "--sync"]);
    const show = ["journalctl", "--no-pager", "-o", "cat", "-u", this.unit];
    return (await this.machine.run(show)).stdout;
  }

  /** The path inside of a file about its process, such as `status`. Throws when it does not run. */
  async process(file: string): Promise<string> {
    const pid = await this.property("MainPID");
    if (pid === "0") throw new Error(`the service does not run\n${await this.status()}`);
    return `/proc/${pid}/${file}`;
  }

  /** The text of a file about its process. */
  async read(file: string): Promise<string> {
    return await Deno.readTextFile(this.machine.path(await this.process(file)));
  }

  /** Runs `check` on the service with these settings put in place of the unit's, then undoes them. */
  async with<T>(settings: readonly string[], check: () => Promise<T>): Promise<T> {
    const path = this.machine.path(`/run/systemd/system/${this.unit}.d/check.conf`);
    await this.stop();
    await Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
    await Deno.writeTextFile(path, ["[Service]", ...settings, ""].join("\n"));
    try {
      await this.machine.run(["systemctl", "daemon-reload"]);
      return await check();
    } finally {
      await this.stop();
      await Deno.remove(path);
      await this.machine.run(["systemctl", "daemon-reload"]);
    }
  }

  /** Waits until a property has changed to what is wanted, and returns it. */
  async until(name: string, isWanted: (value: string) => boolean): Promise<string> {
    return await until(async () => {
      const value = await this.property(name);
      return isWanted(value) ? value : undefined;
    }, { what: `${name} of ${this.unit}` });
  }
}

/** What one of the doctor's checks has found. */
interface Finding {
  readonly name: string;
  readonly state: string;
  readonly details: string;
  readonly fix?: string;
}

/** `decnet-agent doctor` on a machine, by default as root. */
export class Doctor {
  constructor(readonly machine: Machine, readonly isRoot = true) {}

  /** All findings, and the exit code, by `--json`. */
  async examine(): Promise<{ code: number; findings: Finding[] }> {
    const { code, stdout } = await this.#run();
    const { exit_code, checks } = JSON.parse(stdout) as { exit_code: number; checks: Finding[] };
    assert.equal(exit_code, code);
    return { code, findings: checks };
  }

  /** What one check finds. */
  async find(name: string): Promise<Finding> {
    const found = (await this.examine()).findings.find((it) => it.name === name);
    assert.ok(found, `there is no check ${name}`);
    return found;
  }

  /** Runs `repair`, or the command in the fix, as root, and waits until the check says that all is well. */
  async fix({ name, fix = "" }: Finding, repair = fix.split(": ").at(-1)!): Promise<void> {
    assert.ok(fix, `${name} does not say how to fix it`);
    await this.machine.shell(repair);
    await until(async () => (await this.find(name)).state === "ok", {
      what: `${name} in order after ${fix}`,
    });
  }

  async #run() {
    const command = ["decnet-agent", "doctor", "--json"];
    const options = { accept: () => true };
    return this.isRoot
      ? await this.machine.run(command, options)
      : await asUser(this.machine, command, options);
  }
}

const configurationPath = "/etc/decnet/decnet.ini";

/** The common name in the agent's certificate. */
export const worker = "host-1";

/** Where a machine finds the executable; the name needs quotation marks in a script. */
export const carried = "/media/it's a stick/decnet-agent";

/** What prints the script that installs the agent, and runs it, as root types it. */
export const installLine = `"${carried}" print install | sh`;

/** Where a machine has the files that the master issued for it. */
export const stick = "/media/stick";

/** Starts a master, which issues the files of a machine without the agent. `socket`: Docker's, out here. */
export async function openSite(
  machine: Machine,
  socket: string,
  stack: AsyncDisposableStack,
): Promise<Site> {
  const authority = await createAuthority("check authority");
  const dnsNames = ["master.test"];
  const certificate = await authority.issue({ commonName: "master", dnsNames, usage: "server" });
  const master = stack.use(await TlsMaster.start({ authority, certificate }));
  const sandbox = stack.use(await DockerSandbox.open(socket));
  const own = await authority.issue({ commonName: worker, ipAddresses: ["127.0.0.1"] });
  const client = await authority.issue({ commonName: "decnet-master", usage: "client" });
  const pair = { certificate: client.certificatePem, key: client.keyPem };
  const caller = { authority: authority.certificatePem, ...pair };
  const site = new Site(machine, master, sandbox, { port: freePort(), caller });
  await Deno.writeTextFile(machine.path("/etc/hosts"), "127.0.0.1 localhost master.test\n");
  await Deno.mkdir(machine.path(stick));
  await writeAgentDirectory(machine.path(stick), authority, own);
  await machine.shell(`"${carried}" print config > ${stick}/decnet.ini`);
  await configure(machine, settings(site), `${stick}/decnet.ini`);
  return site;
}

/** Lists what an installation may change: files with their owners and modes, users and groups. */
export async function inventory(machine: Machine): Promise<string[]> {
  // Agent and Podman write to their own folders; names with a - are copies that useradd and others make.
  const { stdout } = await machine.shell(
    `find /etc /usr/local /var/lib -not -path '/var/lib/systemd/*' \\
      -not -path '/var/lib/decnet-agent/*' -not -path '/var/lib/containers/*' \\
      -not -name '*-' -not -name .pwd.lock -printf '%p %M %u %g %l\\n' | sort
    sort /etc/passwd /etc/group`,
  );
  return stdout.split("\n");
}

function settings({ master, sandbox, api }: Site): Record<string, string> {
  const image = `decnet-agent-test-${sandbox.tag}:1`;
  return {
    "master-host": "master.test",
    "swarmctl-port": String(master.port),
    "host-uuid": crypto.randomUUID(),
    "interval": "5s",
    "listen": `127.0.0.1:${api.port}`,
    "base-image": image,
    "service-image": image,
  };
}

/** Gives keys a value in the printed configuration, where each is a comment at first. */
export async function configure(
  machine: Machine,
  values: Record<string, string>,
  file = configurationPath,
): Promise<void> {
  const path = machine.path(file);
  let text = await Deno.readTextFile(path);
  for (const [key, value] of Object.entries(values)) {
    const line = new RegExp(`^#?${key} = .*$`, "m");
    if (!line.test(text)) throw new Error(`Cannot set ${key}: the printed configuration lacks it`);
    text = text.replace(line, `${key} = ${value}`);
  }
  await Deno.writeTextFile(path, text);
}

/** What the checks read of a heartbeat. */
export interface Account {
  readonly observed: {
    readonly bridges?: readonly string[];
    readonly containers?: readonly string[];
    readonly error?: string;
  };
  readonly drift: { readonly state: string };
  readonly last_error: string | null;
}

/** The agent installed on a machine, the master that it reports to, and its part of the engine. */
export class Site {
  readonly service: Service;
  /** What was on the machine before the agent was installed. */
  bare: readonly string[] = [];
  /** Of the topology that is pushed; its objects belong to the sandbox. */
  readonly topologyId: string;

  /** `api` is where the agent listens, and who may call. */
  constructor(
    readonly machine: Machine,
    readonly master: TlsMaster,
    readonly sandbox: DockerSandbox,
    readonly api: { readonly port: number; readonly caller: Identity },
  ) {
    this.service = new Service(machine);
    this.topologyId = `${sandbox.tag}-7425-40de-944b-e07fc1f90ae7`;
  }

  /** The full name of a LAN or a container of the topology. */
  name(short: string): string {
    return `decnet_t_${this.sandbox.tag}_${short}`;
  }

  /** Calls the agent as its master. Throws `Error` when there is no answer. */
  async call(path: string, body?: string): Promise<Reply> {
    const { port, caller } = this.api;
    const signal = AbortSignal.timeout(30_000);
    const post = body === undefined ? {} : { method: "POST", body };
    return await call(port, path, caller, { signal, ...post });
  }

  /** The text of the document of a topology, on subnets of the sandbox's own. */
  document(sample: Sample): string {
    return writeJson(documentOf({ id: this.topologyId, ...sample }, this.sandbox));
  }

  /** Pushes a document to the agent. */
  async push(document: string): Promise<Reply> {
    const hash = await versionHash(parseJson(document));
    const body = `{"hydrated":${document},"version_hash":"${hash}"}`;
    return await this.call("/topology/apply", body);
  }

  /** Has the agent tear the topology down. */
  async takeDown(): Promise<void> {
    const id = JSON.stringify({ topology_id: this.topologyId });
    const { status, body } = await this.call("/topology/teardown", id);
    assert.equal(status, 200, JSON.stringify(body));
  }

  /** Waits for a heartbeat that is wanted, from now on; returns its content and its sender. */
  async heartbeat(
    what: string,
    isWanted: (account: Account) => boolean,
  ): Promise<{ account: Account; sender: string }> {
    const since = Date.now();
    return await until(() => {
      return this.master.heartbeats.filter(({ receivedAt }) => receivedAt >= since)
        .map(({ body, clientCommonName: sender }) => {
          return { account: (body as { topology: Account }).topology, sender };
        })
        .find(({ account }) => isWanted(account));
    }, { what: `a heartbeat with ${what}` });
  }
}

/** Something that must hold of the service. */
export interface Check {
  readonly name: string;
  /** Throws when it does not hold; answers what was seen. */
  readonly run: (site: Site) => Promise<string>;
}
