import assert from "node:assert/strict";
import { until } from "../support/environment.ts";
import type { Account, Check } from "./site.ts";

const units = ["agent.service", "agent-check.service", "agent-check.timer"]
  .map((name) => `/etc/systemd/system/decnet-${name}`);

/** The units, and the work of the service. */
export const workChecks: readonly Check[] = [
  {
    name: "systemd finds no fault with the unit",
    async run({ machine }) {
      const { stdout, stderr } = await machine.run(["systemd-analyze", "verify", ...units]);
      assert.equal(stdout + stderr, "");
      return (await machine.run(["systemctl", "--version"])).stdout.split("\n")[0]!;
    },
  },
  {
    name: "it starts, and notifies when it is ready",
    async run({ service }) {
      await service.start();
      const names = ["Type", "ActiveState", "SubState"];
      const state = await Promise.all(names.map((name) => service.property(name)));
      assert.deepEqual(state, ["notify", "active", "running"]);
      return state.join(", ");
    },
  },
  {
    name: "the journal takes the priority of each line from it",
    async run({ machine, service }) {
      const started = await until(async () => {
        await service.journal();
        const show = ["journalctl", "-o", "json", "-u", service.unit, "_COMM=decnet-agent"];
        const lines = (await machine.run(show)).stdout.trim().split("\n");
        return lines.map((line) => JSON.parse(line)).find(({ MESSAGE }) => /started/.test(MESSAGE));
      }, { what: "the line of the start in the journal" });
      assert.equal(started.PRIORITY, "6");
      assert.match(started.MESSAGE, /^level=info msg=started /);
      return started.MESSAGE;
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
      const state = await site.call("/topology/state");
      assert.equal(state.status, 200, JSON.stringify(state.body));
      const { observed, drift, last_error } = state.body as Account;
      assert.deepEqual(observed.containers?.filter((it) => containers.includes(it)), containers);
      assert.equal(last_error, null);
      await site.takeDown();
      assert.deepEqual(await site.sandbox.containers(), []);
      assert.deepEqual(await site.sandbox.networks(), []);
      return `${containers.join(" and ")} ran, ${drift.state}`;
    },
  },
  {
    name: "systemctl reload works within the confinement, and it continues",
    async run(site) {
      const { machine, service } = site;
      const pid = await service.property("MainPID");
      assert.notEqual(pid, "0");
      await machine.run(["systemctl", "reload", service.unit]);
      // What has become of kill, which the confinement would not let run.
      assert.match(await service.property("ExecReload"), /; code=exited ; status=0 /);
      await site.heartbeat("anything", () => true);
      assert.equal(await service.property("MainPID"), pid);
      return `process ${pid} continues`;
    },
  },
];

/** How the service works without what it normally has. */
export const lackChecks: readonly Check[] = [
  {
    name: "D7 without Docker it starts and reports what is wrong",
    run: async (site) =>
      await site.service.with(["InaccessiblePaths=/run/docker.sock"], async () => {
        await site.service.start();
        const hasError = ({ observed }: Account) => observed.error !== undefined;
        const { account } = await site.heartbeat("an error", hasError);
        return account.observed.error!;
      }),
  },
  {
    name:
      "without AF_NETLINK it observes, and applies nothing: no LAN may take the host's addresses",
    async run(site) {
      const families = ["", "AF_UNIX AF_INET AF_INET6"].map((it) =>
        `RestrictAddressFamilies=${it}`
      );
      return await site.service.with(families, async () => {
        await site.service.start();
        await site.heartbeat("the engine", (it) => it.observed.error === undefined);
        const document = site.document({ lans: { dmz: 0 }, deckies: { web: { on: { dmz: 2 } } } });
        const { status, body } = await site.push(document);
        const networks = await site.sandbox.networks();
        await site.takeDown();
        const { detail = "" } = body as { detail?: string };
        assert.deepEqual([status, networks], [500, []]);
        assert.match(detail, /^Cannot ask for this host's addresses.*; let .* use AF_NETLINK$/);
        return detail;
      });
    },
  },
];

/** The longest that it may take to stop, in milliseconds. */
const stopMs = 2_000;

/** How systemd supervises the service. */
export const watchChecks: readonly Check[] = [
  {
    name: "it feeds the watchdog, which kills it when it hangs, and it is started again",
    run: async (site) =>
      await site.service.with(["WatchdogSec=3s", "RestartSec=100ms"], async () => {
        const { service, machine } = site;
        await service.start();
        const fedAt = Number(await service.property("WatchdogTimestampMonotonic"));
        await service.until("WatchdogTimestampMonotonic", (at) => Number(at) > fedAt);
        assert.equal(await service.property("NRestarts"), "0");
        const pid = await service.property("MainPID");
        await machine.run(["kill", "-STOP", pid]);
        await service.until("NRestarts", (count) => count === "1");
        await service.until("ActiveState", (state) => state === "active");
        assert.notEqual(await service.property("MainPID"), pid);
        const reason = /^.*Watchdog timeout.*$/m.exec(await service.journal())?.[0];
        assert.ok(reason);
        return reason;
      }),
  },
  {
    name: `it stops within ${stopMs / 1000} s, and cleanly`,
    async run({ service }) {
      await service.start();
      const startedAt = performance.now();
      await service.stop();
      const ms = performance.now() - startedAt;
      assert.ok(ms <= stopMs, `${ms} ms`);
      // The two come to the journal on different ways.
      await until(async () => {
        const [, last = ""] = (await service.journal()).split(/^[^]*msg=started/m);
        return last.includes("msg=stopped") && last.includes("Deactivated successfully");
      }, { what: "a clean end in the journal" });
      return `${Math.round(ms)} ms`;
    },
  },
];
