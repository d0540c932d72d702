import assert from "node:assert/strict";
import {
  contextOf,
  type HostOptions,
  noSystemd,
  unitFile,
  withContext,
} from "../tests/support/doctor_setup.ts";
import type { AgentSetup } from "../tests/support/agent_setup.ts";
import { assertNoSecrets, plantedPassword } from "../tests/support/secrets.ts";
import { recordProblem } from "../store/problems.ts";
import type { DoctorContext } from "./context.ts";
import { makeReport, reportParts } from "./report.ts";

/** Returns the lines of one part of a host's report. */
async function linesOf(heading: string, setup: AgentSetup, options?: HostOptions) {
  const context = await contextOf(setup, options);
  const parts = reportParts.filter((it) => it.heading === heading);
  const [text = ""] = await Array.fromAsync(makeReport(context, parts));
  return assertNoSecrets(text).replaceAll(context.root, "").trim().split("\n").slice(1);
}

Deno.test("makeReport() makes the rest when a part throws or hangs", async () => {
  const parts = [
    { heading: "broken", lines: () => Promise.reject(new Error("no idea")) },
    { heading: "hung", lines: () => new Promise<string[]>(() => {}) },
    {
      heading: "well",
      lines: () => ["one\x1b[31m", "two\nthree", "tcp://me:sec/r@et@host:1/ a@b"],
    },
  ];
  const texts = await Array.fromAsync(makeReport({} as DoctorContext, parts, 50));
  assert.deepEqual(texts, [
    "\n== broken\nCannot make this part: no idea\n",
    "\n== hung\nCannot make this part: no result within 0.05 s: something on this host hangs\n",
    "\n== well\none [31m\ntwo three\ntcp://…@host:1/ a@b\n",
  ]);
});

Deno.test("makeReport() names versions of the host and its engine", () =>
  withContext(async (setup) => {
    const libc = `/lib/${Deno.build.arch}-linux-gnu/libc.so.6`;
    const files = {
      "/etc/os-release": 'NAME="Debian"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\n',
      [libc]: "\x7fELF\0GNU C Library (Debian GLIBC 2.36-9) stable release version 2.36.\n\0",
    };
    assert.deepEqual(await linesOf("versions", setup, { files }), [
      "agent 1",
      "deno 2",
      "sqlite 3",
      "distribution Debian GNU/Linux 12 (bookworm)",
      "glibc 2.36",
      "engine 28.0.1, API 1.48",
      "kernel 6.1.0",
    ]);
    await setup.engine.stop();
    const lines = await linesOf("versions", setup);
    assert.deepEqual(lines.slice(3, 5), ["distribution unknown", "glibc unknown"]);
    assert.match(lines[5]!, /^engine and kernel: Docker at \S+: /);
  }));

Deno.test("makeReport() shows unit and drop-ins, no other programs' variables", () =>
  withContext(async (setup) => {
    const own = ["[Service]", "User=decnet-agent", "Environment=DECNET_INTERVAL=10s"].concat(
      "ExecStart=/usr/local/bin/decnet-agent run --interval=10s",
    );
    const secrets: [line: string, shown: string][] = [
      [`Environment="HTTPS_PROXY=http://me:${plantedPassword}@proxy" A=b`, "Environment="],
      [`  Environment = DECNET_X=1 B=${plantedPassword}`, "Environment ="],
      [`Environment=DECNET_ADMIN_PASSWORD=${plantedPassword}`, "Environment="],
      [`Environment=A=1 \\\n  B=${plantedPassword}`, "Environment="],
      [`Environment=A=1 \\\n# of B\nB=${plantedPassword}`, "Environment="],
      [`Environment=A=1 \\\r\nB=${plantedPassword}`, "Environment="],
      [`Environment=A=1 \\ \nPASSWORD=${plantedPassword}`, "Environment="],
      [`SetCredential=key:${plantedPassword}`, "SetCredential="],
      [`SetCredentialEncrypted=key:${plantedPassword}`, "SetCredentialEncrypted="],
      [`StandardInputText=${plantedPassword}`, "StandardInputText="],
      [`ExecStartPre=-/usr/bin/curl -u me:${plantedPassword} x`, "ExecStartPre="],
      [`ExecStart=/usr/local/bin/decnet-agent ; /bin/x ${plantedPassword}`, "ExecStart="],
    ];
    const comments = [`#Environment=TOKEN=${plantedPassword}`, ` ; ${plantedPassword} \\`];
    const lines = ["[Service]", ...comments, ...secrets.map(([line]) => line)];
    const files = {
      [unitFile]: `${own.join("\n")}\n`,
      [`${unitFile}.d/10-proxy.conf`]: `${lines.join("\n")}\rEnvironment=T=${plantedPassword}`,
    };
    const shown = await linesOf("unit", setup, { files });
    assert.deepEqual(shown.filter((line) => line !== "(left out)"), [
      "active, enabled",
      `# ${unitFile}`,
      ...own,
      `# ${unitFile}.d/10-proxy.conf`,
      "[Service]",
      ...[...secrets.map(([, setting]) => setting), "Environment="].map((it) => `${it}(left out)`),
    ]);
    const absent = await linesOf("unit", setup, { files: noSystemd });
    assert.deepEqual(absent, ["decnet-agent.service is not installed"]);
    const links = { [unitFile]: "/dev/null" };
    const masked = await linesOf("unit", setup, { files: { [unitFile]: null }, links });
    assert.deepEqual(masked, [`${unitFile} is masked; active, enabled`]);
  }));

Deno.test("makeReport() shows who the certificates are, and until when", () =>
  withContext(async (setup) => {
    const lines = await linesOf("certificates", setup);
    const name = "[\\w -]+";
    const time = "\\d{4}-\\d\\d-\\d\\dT[\\d:]+Z";
    const one = (file: string) => [
      `${file}: subject ${name}, issuer ${name}`,
      `${file}: serial [0-9A-F]+, is valid from ${time} to ${time}`,
    ];
    const all = [...one("ca\\.crt"), ...one("worker\\.crt")];
    assert.match(lines.join("\n"), new RegExp(`^${all.join("\n")}$`));
    await Deno.copyFile(`${setup.path}/worker.key`, `${setup.path}/worker.crt`);
    assert.match((await linesOf("certificates", setup))[0]!, /worker\.crt: /);
  }));

Deno.test("makeReport() lists the last errors of store and log", () =>
  withContext(async (setup) => {
    assert.deepEqual(await linesOf("last errors", setup), [
      "last_error of the store: none",
      "no problems in the agent's log",
    ]);
    setup.changeStore((store) =>
      store.recordError("11111111-2222-3333-4444-555555555555", "no\x07")
    );
    const corrupt = `${setup.storePath}.corrupt-20261122T180000Z`;
    await Deno.writeTextFile(corrupt, "four");
    await Deno.utime(corrupt, 1_700_000_000, 1_700_000_000);
    recordProblem(setup.storePath, "error", 'msg="it broke" subject=api');
    const [lastError, quarantined, , problem] = await linesOf("last errors", setup);
    assert.equal(lastError, "last_error of the store: no");
    assert.equal(quarantined, `quarantined: ${corrupt}, 4 bytes, of 2023-11-14T22:13:20Z`);
    assert.match(problem!, /^20\S+Z error msg="it broke" subject=api$/);
    await Deno.writeTextFile(setup.storePath, "no database".repeat(1_000));
    const [damaged] = await linesOf("last errors", setup);
    assert.match(damaged!, /^last_error of the store: file is not a database/);
  }));
