import assert from "node:assert/strict";
import { readTopology } from "../../topology/document.ts";
import { parseJson } from "../../topology/json.ts";
import { defaultPlanOptions, type Plan, planTopology } from "../../topology/plan.ts";
import { campaign, type CampaignOptions, targets } from "./campaign.ts";
import { checkCall, checkImage, checkPlan } from "./oracles.ts";

const broken = new URL("./broken_target.ts", import.meta.url).href;
const options: CampaignOptions = {
  ...{ seed: 1, from: 0, to: 9, limitMs: 60_000, limitRss: 2 ** 40, hangMs: 3_000 },
  onProgress: () => {},
};

Deno.test("campaign() reports a case that throws, exits or hangs, and continues", async () => {
  const { cases, failures, outcomes } = await campaign(broken, options);
  assert.deepEqual(
    failures.map(({ caseNumber, message }) => [caseNumber, message.split("\n")[0]]),
    [
      [1, "RangeError: an invariant does not hold"],
      [2, "the process ended with 7"],
      [3, "it hangs"],
      [4, "it hangs"],
    ],
  );
  assert.equal(cases, 9);
  assert.deepEqual(outcomes, { fine: 2, slow: 1, large: 1 });
});

Deno.test("campaign() reports a case that takes too long each time", async () => {
  const { failures } = await campaign(broken, { ...options, from: 5, to: 6, limitMs: 100 });
  assert.match(failures[0]!.message, /^it took \d+ ms, four times$/);
});

Deno.test("campaign() reports a case that makes the process too large", async () => {
  const limitRss = 300 * 2 ** 20;
  const { failures, peakRss } = await campaign(broken, { ...options, from: 6, to: 7, limitRss });
  assert.match(failures[0]!.message, /^the process takes \d+ MiB$/);
  assert.ok(peakRss > limitRss);
});

const text = Deno.readTextFileSync(new URL("../data/topology-three-lans.json", import.meta.url));
const plan = await planTopology(readTopology(parseJson(text)), defaultPlanOptions);

/** What each target must have seen at least once, so that its cases are neither all right nor all wrong. */
const wanted: Record<string, string[]> = {
  document: ["planned", "invalid", "malformed", "not JSON", "applied"],
  ini: ["configured", "usage"],
  engine: ["an error", "another shape", "drifted", "heartbeat: no answer", "heartbeat: drifted"],
  store: ["a row; written; kept, over a row", "unreadable; not writable; kept"],
  api: ["200", "422", "bad: 400"],
  certificate: ["found", "not found", "found by OpenSSL only", "unreadable", "read"],
  line: ["blank", "held back", "cut", "not UTF-8", "of the form", "other text"],
  log: ["lines", "other lines", "refused"],
  master: ["accepted", "refused", "TLS: refused", "TLS: no answer"],
};

for (const target of targets) {
  Deno.test(`campaign() finds nothing in some hundred cases of ${target.name}`, async () => {
    const { failures, outcomes } = await campaign(target.module, {
      ...options,
      to: target.name === "document" ? 500 : 300,
      // Other tests run beside this one: whether it is fast is seen by the script itself.
      ...{ limitMs: 20_000, limitRss: 2 ** 30, hangMs: 60_000 },
    });
    assert.deepEqual(failures, []);
    for (const outcome of wanted[target.name]!) assert.ok(outcomes[outcome], outcome);
  });
}

Deno.test("checkPlan() rejects a plan that asks for more than is allowed", () => {
  checkPlan(plan);
  const [network, container] = [plan.networks[0]!, plan.containers[0]!];
  const { request, addressByNetwork } = container;
  const withContainer = (change: object) => ({
    ...plan,
    containers: [{ ...container, ...change }, ...plan.containers.slice(1)],
  });
  const withHost = (change: object) =>
    withContainer({ request: { ...request, HostConfig: { ...request.HostConfig, ...change } } });
  const broken: object[] = [
    withHost({ Privileged: true }),
    withHost({ Binds: ["/:/host"] }),
    withHost({ CapAdd: ["SYS_ADMIN"] }),
    withHost({ NetworkMode: "host" }),
    withHost({ Sysctls: { "kernel.core_pattern": "|x" } }),
    withContainer({ request: { ...request, Image: "../x" } }),
    withContainer({ request: { ...request, User: "0" } }),
    withContainer({ name: "decnet_t_7c9e6679_" }),
    withContainer({ name: "stranger" }),
    withContainer({
      addressByNetwork: new Map([...addressByNetwork].map(([lan]) => [lan, "1.1.1.1"])),
    }),
    { ...plan, networks: [{ ...network, subnet: "10.77.1.0/24" }, ...plan.networks.slice(1)] },
    { ...plan, networks: [...plan.networks, network] },
    { ...plan, topologyId: "../x" },
  ];
  for (const it of broken) assert.throws(() => checkPlan(it as Plan), assert.AssertionError);
});

Deno.test("checkCall() rejects calls to the engine that no apply makes", () => {
  const refused = [
    ["POST", "/containers/create?name=x"],
    ["POST", "/containers/decnet_t_x/exec"],
    ["GET", "/images/../containers/json"],
    ["GET", "/images/a b/json"],
    ["DELETE", "/networks/bridge"],
  ] as const;
  for (const [method, path] of refused) {
    assert.throws(() => checkCall({ method, path }), assert.AssertionError);
  }
  for (const image of ["-v", "a/../b", "/a", "a//b", "a b", ""]) {
    assert.throws(() => checkImage(image), assert.AssertionError);
  }
});
