import type { Authority } from "../../tests/certificates.ts";
import { type MasterAnswer, TlsMaster } from "../../tests/tls_master.ts";
import type { Subject } from "./ailment.ts";

const answers: Readonly<Record<string, MasterAnswer>> = {
  "the master answers 400": { status: 400, body: '{"detail":"what is that?"}' },
  "the master answers 403": { status: 403, body: '{"detail":"not the pinned certificate"}' },
  "the master answers 404": { status: 404, body: '{"detail":"no such host"}' },
  "the master answers 500": { status: 500, body: "Internal Server Error" },
  "the master asks for a pause": { status: 503, headers: { "retry-after": "30" } },
  "the master cuts the connection": { kind: "reset" },
  "the master cuts its answer": { kind: "cut", status: 200 },
  "the master answers at length": { status: 502, body: "x".repeat(20_000) },
  "the master is late": { kind: "late", status: 204, ms: 40 },
};

/** Starts a master on a port that stays its own. */
export async function openMaster(
  authority: Authority,
  stack: AsyncDisposableStack,
): Promise<{ subject: Subject; port: number }> {
  const dnsNames = ["master.test"];
  const certificate = await authority.issue({ commonName: "master", dnsNames, usage: "server" });
  let master = await TlsMaster.start({ authority, certificate });
  stack.defer(() => master.stop());
  const { port } = master;
  let isUp = true;
  const be = async (answer: MasterAnswer) => {
    if (!isUp) master = await TlsMaster.start({ authority, certificate, port });
    isUp = true;
    master.answer = answer;
  };
  const stop = async () => {
    if (isUp) await master.stop();
    isUp = false;
  };
  const subject = {
    // Its lines are counted by themselves.
    linesPerChange: 0,
    well: { name: "the master accepts", begin: () => be({ status: 204 }) },
    unwell: [
      ...Object.entries(answers).map(([name, answer]) => ({ name, begin: () => be(answer) })),
      { name: "the master is absent", begin: stop },
      {
        name: "the master starts again",
        isShort: true,
        begin: async () => {
          await stop();
          await be({ status: 204 });
        },
      },
      { name: "the master hangs", onceIn: 9_000, begin: () => be({ kind: "hang" }) },
    ],
  };
  return { subject, port };
}
