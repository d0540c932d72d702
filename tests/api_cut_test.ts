import assert from "node:assert/strict";
import { ApiSetup } from "./api_setup.ts";

const call = "POST /topology/teardown HTTP/1.1\r\nHost: agent\r\n";
const whole = `${call}Content-Length: 2\r\n\r\n{}`;

/** What cuts a connection while the body before it is still to be read. */
const cases: [name: string, text: string][] = [
  ["is followed by what is no request", `${whole}garbage\r\n\r\n`],
  ["is followed by a call that is cut short", `${whole}${call}Content-Length: 20\r\n\r\n{`],
  ["is cut short", `${call}Content-Length: 20\r\n\r\n{`],
  ["has a chunk without a size", `${call}Transfer-Encoding: chunked\r\n\r\n2\r\n{}zz\r\n`],
];

for (const [name, text] of cases) {
  Deno.test(`the API keeps nobody waiting for a call that ${name}`, async () => {
    // Whoever has to wait for the bound on a body waits for longer than any test may take.
    await using api = await ApiSetup.start({ bounds: { bodyTimeoutMs: 3_600_000 } });
    {
      using client = await api.talk();
      client.say(text);
      if (name.endsWith("cut short")) await new Promise((resolve) => setTimeout(resolve, 20));
      else await client.end();
    }
    const { status } = await api.post("/topology/teardown", { topology_id: "A" });
    assert.equal(status, 200);
    assert.deepEqual(api.service.calls, ["teardown A"]);
  });
}
