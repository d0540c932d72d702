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
    name: "without AF_NETLINK it works, but for the addresses of the host",
    async run(site) {
      const families = [
        "RestrictAddressFamilies=",
        "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6",
      ];
      return await site.service.with(families, async () => {
        await site.service.start();
        const { account } = await site.beat("the engine", (it) => it.observed.error === undefined);
        return `saw ${account.observed.bridges!.length} networks`;
      });
    },
  },
];
