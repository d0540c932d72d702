import assert from "node:assert/strict";
import type { Check } from "./check.ts";

/** How the service does without what it would like to have. */
export const lackChecks: readonly Check[] = [
  {
    name: "without Docker it starts all the same, and says what is wrong",
    run: async (site) =>
      await site.service.with(["InaccessiblePaths=/run/docker.sock"], async () => {
        await site.service.start();
        const { account } = await site.beat("an error", (it) => it.observed.error !== undefined);
        return account.observed.error!;
      }),
  },
  {
    name:
      "without AF_NETLINK it observes, and applies nothing: no LAN may take the host's addresses",
    async run(site) {
      const families = [
        "RestrictAddressFamilies=",
        "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6",
      ];
      return await site.service.with(families, async () => {
        await site.service.start();
        await site.beat("the engine", (it) => it.observed.error === undefined);
        const document = site.document({ lans: { dmz: 0 }, deckies: { web: { on: { dmz: 2 } } } });
        const { status, body } = await site.push(document);
        const networks = await site.playground.networks();
        await site.takeDown();
        const { detail = "" } = body as { detail?: string };
        assert.deepEqual([status, networks], [500, []]);
        assert.match(detail, /^Cannot ask for this host's addresses.*; let .* use AF_NETLINK$/);
        return detail;
      });
    },
  },
];
