import { mayUse, reading, writing } from "../accounts.ts";
import { type Check, failed, ok, type Result } from "../check.ts";
import { describe, look, quote } from "../files.ts";
import type { Patient } from "../patient.ts";
import { hasUnit } from "../unit.ts";

/** The usual sockets, and the unit that makes each. */
const usual = [
  ["/var/run/docker.sock", "docker.service", "docker"],
  ["/run/podman/podman.sock", "podman.socket", "podman.socket"],
] as const;

/** Whether the engine's socket is there, and open to the agent. */
export const socket: Check = {
  name: "socket",
  code: 2,
  async run(patient) {
    const { sockets } = patient.options.agent;
    const sights = await Promise.all(sockets.map(look));
    const index = sights.findIndex((sight) => sight !== "absent");
    const [path, sight] = [sockets[index], sights[index]];
    if (path === undefined || sight === undefined || sight === "absent") return absent(patient);
    const user = await patient.agentUser();
    if (sight === "forbidden") return hidden(path, user.name);
    if (!sight.isSocket) {
      const what = `${path} is no socket${sight.isDirectory ? ", but a folder" : ""}`;
      if (sight.isDirectory) {
        // Docker makes one for a mount whose source is missing.
        return failed(what, `rmdir ${quote(path)} && systemctl restart ${engineUnit(path)}`);
      }
      return failed(what, patient.options.commandToSet("docker-host", `unix://${usual[0][0]}`));
    }
    // Of the groups and of what else opens a socket, the files know only a part; who looks for
    // himself sees.
    if (user.uid !== patient.user.uid && !mayUse(user, sight, reading | writing)) {
      return await forbidden(patient, path, sight);
    }
    return await connect(patient, path, sight);
  },
};

/** The unit to restart for the engine behind a socket. */
export function engineUnit(path: string): string {
  return path.includes("podman") ? "podman.socket" : "docker";
}

async function absent({ options: { agent: { sockets }, commandToSet }, root }: Patient) {
  const text = sockets.length === 1
    ? `${sockets[0]}: no such socket`
    : `none of ${sockets.join(", ")} exists`;
  // What is configured may be the wrong one.
  for (const [path] of usual) {
    if (sockets.includes(path)) continue;
    const sight = await look(`${root}${path}`);
    if (typeof sight === "object" && sight.isSocket) {
      return failed(`${text}, but there is ${path}`, commandToSet("docker-host", `unix://${path}`));
    }
  }
  for (const [path, file, name] of usual) {
    if (sockets.includes(path) && await hasUnit(root, file)) {
      return failed(text, `systemctl enable --now ${name}`);
    }
  }
  const wantsPodman = sockets.every((path) => path.includes("podman"));
  if (sockets.some((path) => usual.some(([it]) => it === path))) {
    const names = wantsPodman ? ["podman", "podman.socket"] : ["docker.io", "docker"];
    return failed(
      `${text}, and the engine is not installed`,
      `apt-get install ${names[0]} && systemctl enable --now ${names[1]}`,
    );
  }
  return failed(text, `systemctl restart ${engineUnit(sockets[0] ?? "")}`);
}

function hidden(path: string, user: string): Result {
  const folder = path.replace(/\/[^/]*$/, "") || "/";
  return failed(
    `${path}: user ${user} may not look into ${folder}`,
    `setfacl -m u:${user}:x ${quote(folder)}`,
  );
}

async function forbidden(patient: Patient, path: string, info: Deno.FileInfo): Promise<Result> {
  const user = await patient.agentUser();
  const gid = info.gid ?? 0;
  const group = patient.accounts.groupName(gid);
  const saw = [
    `permission denied: user ${user.name} is not in group ${group}`,
    `${path}: ${describe(info, patient.accounts)}`,
  ];
  // To be in root's group would be far more than a socket.
  const isForGroup = mayUse({ ...user, groups: new Set([gid]) }, info, reading | writing);
  if (isForGroup && gid !== 0) return failed(saw, `usermod -aG ${group} ${user.name}`);
  return failed(saw, `setfacl -m u:${user.name}:rw ${quote(path)}`);
}

async function connect(patient: Patient, path: string, info: Deno.FileInfo): Promise<Result> {
  const { accounts, user } = patient;
  const saw = `${path}: ${describe(info, accounts)}`;
  try {
    (await Deno.connect({ transport: "unix", path })).close();
    return ok(`${saw}; it takes connections`);
  } catch (error) {
    const restart = `systemctl restart ${engineUnit(path)}`;
    if (error instanceof Deno.errors.ConnectionRefused) {
      return failed([`${path}: nobody listens`, saw], restart);
    }
    if (error instanceof Deno.errors.PermissionDenied) {
      if (!mayUse(user, info, reading | writing)) return await forbidden(patient, path, info);
      // The files have this user in the group: the process is older than that.
      const group = accounts.groupName(info.gid ?? 0);
      const text = `permission denied: user ${user.name} is in group ${group}, but this login is ` +
        "older than that";
      return failed([text, saw], `newgrp ${group}`);
    }
    return failed([`${path}: ${(error as Error).message}`, saw], restart);
  }
}
