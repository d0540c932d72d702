import assert from "node:assert/strict";
import type { IssueOptions } from "./certificates.ts";
import { assertOvercome, type MasterFault } from "./master_fault_setup.ts";
import { authority, rogueAuthority, startMaster } from "./master_setup.ts";

const server: IssueOptions = {
  commonName: "the master",
  dnsNames: ["master.test"],
  ipAddresses: ["127.0.0.1"],
  usage: "server",
};
const fromNow = (minutes: number) => new Date(Date.now() + minutes * 60_000);
const time = "\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\dZ";
const unreachable = "Cannot reach the master at 127\\.0\\.0\\.1:\\d+: ";
const says = (words: string) => new RegExp(unreachable + words);

const faults: MasterFault[] = [
  {
    what: "a master that is down",
    strike: ({ master }) => master.stop(),
    result: "unreachable",
    says: says("nobody listens there; start it, or see swarmctl-port"),
  },
  {
    what: "a port that speaks no TLS",
    strike: async ({ master, port }) => {
      await master.stop();
      const web = Deno.serve(
        { hostname: "127.0.0.1", port, onListen: () => {} },
        () => new Response(),
      );
      return () => web.shutdown();
    },
    result: "unreachable",
    says: says("it does not speak TLS there; swarmctl-port tells the port"),
  },
  {
    what: "a master that cuts the connection instead of answering",
    strike: ({ master }) => {
      master.answer = { kind: "reset" };
      return Promise.resolve();
    },
    result: "unreachable",
    says: says("it closed the connection before it answered; it may not accept worker\\.crt"),
  },
  {
    what: "a master whose certificate has expired",
    strike: async (host) => {
      const validity = { notBefore: fromNow(-90), notAfter: fromNow(-1) };
      await host.replaceMaster(await authority.issue({ ...server, ...validity }));
    },
    result: "unreachable",
    says: says(
      `its certificate has expired: it is valid from ${time} to ${time}, and this host's clock ` +
        `says ${time}; renew it, or set the clock that is wrong`,
    ),
  },
  {
    what: "a master whose certificate is not valid yet, as when the clock of this host is slow",
    strike: async (host) => {
      const validity = { notBefore: fromNow(1), notAfter: fromNow(90) };
      await host.replaceMaster(await authority.issue({ ...server, ...validity }));
    },
    result: "unreachable",
    says: says(
      `its certificate is not valid yet: it is valid from ${time} to ${time}, and this host's ` +
        `clock says ${time}; set the clock that is wrong`,
    ),
  },
  {
    what: "a master of another name",
    strike: async (host) => {
      await host.replaceMaster(await authority.issue({ ...server, dnsNames: ["other.test"] }));
    },
    result: "unreachable",
    says: says(
      "its certificate does not bear the name master\\.test, but DNS:other\\.test, " +
        "IP Address:127\\.0\\.0\\.1; master-name tells the name",
    ),
  },
  {
    what: "a master of an authority that is not in ca.crt",
    strike: async (host) => {
      await host.replaceMaster(await rogueAuthority.issue({ ...server }));
    },
    result: "unreachable",
    says: says(
      'its certificate is not signed by ca\\.crt: it bears the name "the master", and as its ' +
        'issuer "test authority"; ca\\.crt must hold the certificate of the master\'s authority',
    ),
  },
  {
    what: "a master with another certificate than the pinned one",
    strike: async (host) => {
      await host.replaceMaster(await authority.issue({ ...server }));
    },
    result: "unreachable",
    says: says(
      "its certificate is not the pinned one, but has the fingerprint [0-9a-f]{64}; master-fingerprint tells the pinned one",
    ),
  },
  ...[301, 302, 303, 307, 308].map((status): MasterFault => ({
    what: `a master that answers ${status} and names another one`,
    strike: async ({ master }) => {
      const elsewhere = await startMaster();
      let connections = 0;
      const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
      const accepting = (async () => {
        for await (const connection of listener) {
          connections++;
          connection.close();
        }
      })();
      const { port } = listener.addr as Deno.NetAddr;
      // By turns to one that would take the beat and one that sees every connection.
      master.answer = (beat) => ({
        status,
        headers: {
          location: `https://127.0.0.1:${beat % 2 ? port : elsewhere.port}/swarm/heartbeat`,
        },
      });
      return async () => {
        listener.close();
        await accepting;
        await elsewhere.stop();
        assert.equal(connections + elsewhere.connectionCount, 0);
        assert.ok(master.beatCount >= 4);
      };
    },
    result: "rejected",
    says: new RegExp(`the master answered ${status}: redirects are not followed`),
  })),
];

for (const fault of faults) {
  Deno.test(`the agent tells of and outlives ${fault.what}`, () => assertOvercome(fault));
}
