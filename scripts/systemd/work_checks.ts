import assert from "node:assert/strict";
import type { Check } from "./check.ts";
import { worker } from "./install.ts";
import type { Account, Site } from "./site.ts";
import { asUser } from "./user.ts";

/** What the service is there for. */
export const workChecks: readonly Check[] = [
  {
    name: "it starts, and says when it is ready",
    async run({ service }) {
      await service.start();
      const state = await Promise.all(["Type", "ActiveState", "SubState"].map((name) => {
        return service.property(name);
      }));
      assert.deepEqual(state, ["notify", "active", "running"]);
      return state.join(", ");
    },
  },
  {
    name: "it observes the host's engine, and beats over mutual TLS",
    async run(site) {
      const network = site.name("seen");
      await site.playground.makeNetwork(network);
      const { account, sender } = await site.beat(`the network ${network}`, ({ observed }) => {
        return observed.bridges?.includes(network) ?? false;
      });
      assert.equal(account.observed.error, undefined);
      assert.equal(sender, worker);
      await site.playground.docker.getNetwork(network).remove();
      return `${sender} saw ${network}`;
    },
  },
  {
    name: "systemctl status shows what it does",
    async run({ service }) {
      // The status at the start says that the first one is due; it must not stay there.
      const text = await service.until("StatusText", (text) => /(beat delivered|drift)/.test(text));
      assert.doesNotMatch(text, /Cannot|unreachable/);
      assert.ok((await service.status()).includes(`Status: "${text}"`));
      return text;
    },
  },
  {
    name: "it applies what its master pushes, and takes it down",
    async run(site) {
      const document = site.document({
        lans: { dmz: 0, inside: 1 },
        deckies: { web: { on: { dmz: 2, inside: 2 }, services: ["http"] } },
      });
      const applied = await site.push(document);
      assert.equal(applied.status, 200, JSON.stringify(applied.body));
      const containers = [site.name("web"), site.name("web-http")];
      const { observed, drift, last_error } = await stateOf(site);
      assert.deepEqual(
        observed.containers?.filter((name) => containers.includes(name)),
        containers,
      );
      assert.equal(last_error, null);
      await site.takeDown();
      assert.deepEqual(await site.playground.containers(), []);
      assert.deepEqual(await site.playground.networks(), []);
      return `${containers.join(" and ")} ran, ${drift.state}`;
    },
  },
  {
    // The engine would not mind; the agent has to be able to ask for the addresses.
    name: "it refuses a LAN that holds an address of the host",
    async run(site) {
      const address = ownAddress();
      const theirs = site.playground.subnet(0).replace(/0\/24$/, "");
      const document = site.document({ lans: { dmz: 0 }, deckies: { web: { on: { dmz: 9 } } } })
        .replaceAll(`"${theirs}`, `"${address.replace(/\d+$/, "")}`);
      const { body } = await site.push(document);
      const networks = await site.playground.networks();
      // Why it failed has been recorded, and would be told in every beat.
      await site.takeDown();
      const { detail = "" } = body as { detail?: string };
      assert.match(detail, /holds an address of this host's interface/, JSON.stringify(body));
      assert.deepEqual(networks, []);
      return detail;
    },
  },
  {
    name: "decnet-agent --once works beside it, for its user",
    async run({ machine }) {
      const { code, stdout, stderr } = await asUser(machine, ["decnet-agent", "--once"], {
        accept: () => true,
      });
      // 1 is for what others have left on this engine.
      assert.ok(code <= 1, stdout + stderr);
      assert.match(stdout, /^DECNET (OK|WARNING) - .*\bnetworks=\d+ containers=\d+ .*\bmaster=\d/);
      return stdout.trim();
    },
  },
];

/** What the agent answers when its master asks. */
async function stateOf(site: Site): Promise<Account> {
  const { status, body } = await site.call("/topology/state");
  assert.equal(status, 200, JSON.stringify(body));
  return body as Account;
}

/** An address of this host that is not Docker's. */
function ownAddress(): string {
  const own = Deno.networkInterfaces().find(({ name, family }) => {
    return family === "IPv4" && !/^(lo|docker|podman|cni|br-|veth)/.test(name);
  });
  assert.ok(own, "this host has no address of its own");
  return own.address;
}
