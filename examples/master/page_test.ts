import assert from "node:assert/strict";
import { topologyId } from "../../tests/support/agent_setup.ts";
import { TemporaryFolder } from "../../tests/support/environment.ts";
import { ExampleMaster, withExample } from "../../tests/support/example_master.ts";
import { requirement, works } from "../../tests/support/requirements.ts";

const chromium = requirement("chromium", await works("chromium", "--version"));

/** Answers Chromium in the place of the master's page; the number of the request starts at 1. */
type Front = (page: () => Promise<Response>, number: number) => Response | Promise<Response>;

/** Opens the page in Chromium, lets 8 s of virtual time pass, and answers the document. */
async function look(
  master: ExampleMaster,
  front: Front = (page) => page(),
  flags: string[] = [],
): Promise<string> {
  using folder = new TemporaryFolder();
  let count = 0;
  await using server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    (request) => {
      if (request.url.endsWith("/favicon.ico")) return new Response(null, { status: 404 });
      return front(() => fetch(master.url), ++count);
    },
  );
  const { stdout, success } = await new Deno.Command("chromium", {
    args: [
      ...["--headless", "--no-sandbox", `--user-data-dir=${folder.path}`, "--timeout=20000"],
      ...["--virtual-time-budget=8000", "--dump-dom", ...flags],
      `http://127.0.0.1:${server.addr.port}/`,
    ],
    stderr: "null",
  }).output();
  assert.ok(success);
  return new TextDecoder().decode(stdout);
}

function browserTest(name: string, fn: () => Promise<void>): void {
  chromium.test(`the example master's page ${name}`, fn);
}

browserTest("updates itself", () =>
  withExample(async (master, setup, sendHeartbeat) => {
    setup.apply();
    await sendHeartbeat();
    master.hosts.enrol("host-2", Deno.readTextFileSync(`${setup.path}/worker.crt`));
    const source = await look(master, async (page, number) => {
      if (number === 2) {
        setup.engine.containers = setup.engine.containers.map((it) => ({ ...it, State: "exited" }));
        await sendHeartbeat();
        const { heartbeat } = master.hosts.all()[1]!;
        master.hosts.set("host-2", { heartbeat, heardAt: 1 });
      }
      return await page();
    });
    assert.match(source, /stopped: container decnet_t_/);
    assert.match(source, /\blate<\/b>/);
  }));

Deno.test("the example master's page reloads itself without scripts", async () => {
  await using master = await ExampleMaster.start();
  assert.match(
    await master.page(),
    /<noscript><meta http-equiv="refresh" content="1"><\/noscript>/,
  );
});

browserTest("says when the master has gone, and no longer when it is back", async () => {
  await using master = await ExampleMaster.start();
  // The connection closes before the announced end.
  const headers = { "content-length": "9" };
  const cut = () => new Response(new ReadableStream({ start: (it) => it.close() }), { headers });
  const isGone = /<p id="gone" role="alert">/;
  const without = await look(master, (page, number) => number === 1 ? page() : cut());
  assert.match(without, isGone);
  assert.match(without, /none is enrolled/);
  assert.doesNotMatch(await look(master, (page, number) => number === 2 ? cut() : page()), isGone);
});

browserTest(
  "shows what hosts send as text",
  () =>
    withExample(async (master, setup, sendHeartbeat) => {
      await sendHeartbeat();
      const hole = `<img src=x onerror="document.title='owned'">`;
      const hostile = `"'>${hole}<script>document.title='owned'</script>`;
      setup.changeStore((store) => store.recordError(topologyId, hostile));
      await sendHeartbeat();
      master.hosts.set("host-1", { name: hostile });
      const source = await look(master);
      const escaped = hostile.replaceAll("<", "&lt;").replaceAll(">", "&gt;");
      assert.equal(source.split(escaped).length, 3, source);
      assert.doesNotMatch(source, /<img/);
      assert.match(source, /<title>\(1\) DECNET</);
      // Even markup would do no harm: the policy lets no other script run.
      const withHole = (hasPolicy: boolean): Front => async (page) => {
        const { headers, body } = await page();
        if (!hasPolicy) headers.delete("content-security-policy");
        const text = await new Response(body).text();
        return new Response(
          text.replace("setTimeout(refresh, 1000);", "").replace("<main>", `<main>${hole}`),
          {
            headers,
          },
        );
      };
      assert.doesNotMatch(await look(master, withHole(true)), /<title>owned</);
    }),
);

/** Measures the page in frames of several widths: whether it is too wide, and its least contrast. */
const frames = `<!DOCTYPE html><pre></pre><script>
const channels = (colour) => colour.match(/[\\d.]+/g).map(Number);
// The contrast is that of WCAG.
const light = (colour) => {
  const [r, g, b] = channels(colour).map((it) => it / 255)
    .map((it) => it <= 0.03928 ? it / 12.92 : ((it + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const behind = (element) => {
  for (let at = element; at; at = at.parentElement) {
    const colour = getComputedStyle(at).backgroundColor;
    if (channels(colour)[3] !== 0) return colour;
  }
};
const measure = ({ contentDocument: page, width }) => ({
  width,
  isTooWide: page.documentElement.scrollWidth > width,
  background: getComputedStyle(page.body).backgroundColor,
  marks: [...page.querySelectorAll("section > article > ul > li > b")].map((it) => it.innerText),
  contrast: Math.min(...[...page.querySelectorAll("h1, h2, b, li, main p, #gone")].map((element) => {
    const [a, b] = [light(getComputedStyle(element).color), light(behind(element))];
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  })),
});
const all = [320, 390, 1200].map((width) => Object.assign(document.createElement("iframe"),
  { src: "/page", width, style: "border: 0" }));
for (const frame of all) document.body.append(frame);
onload = () => document.querySelector("pre").textContent = JSON.stringify(all.map(measure));
</script>`;

browserTest(
  "can be read on a phone, in light and dark, and without colour",
  () =>
    withExample(async (master, setup, sendHeartbeat) => {
      setup.apply();
      setup.engine.containers = setup.engine.containers.map((it) => ({ ...it, State: "exited" }));
      await sendHeartbeat();
      master.hosts.set("host-1", { name: "a-name-without-any-space-".repeat(8) });
      for (const name of ["host-2", "host-3"]) {
        master.hosts.enrol(name, Deno.readTextFileSync(`${setup.path}/worker.crt`));
      }
      master.hosts.set("host-2", { heartbeat: master.hosts.all()[0]!.heartbeat, heardAt: 1 });
      const backgrounds = new Set();
      for (const isDark of [false, true]) {
        const front: Front = async (page, number) => {
          const html = { "content-type": "text/html; charset=utf-8" };
          return new Response(number === 1 ? frames : (await page()).body, { headers: html });
        };
        const source = await look(master, front, isDark ? ["--force-dark-mode"] : []);
        const measures = JSON.parse(/<pre>(.*)<\/pre>/.exec(source)![1]!);
        assert.equal(measures.length, 3);
        for (const { width, isTooWide, contrast, background, marks } of measures) {
          assert.equal(isTooWide, false, `${width}`);
          assert.ok(contrast >= 4.5, `${contrast}`);
          assert.ok(
            marks.length > 3 && marks.every((it: string) => /^[✖◆✔]\S* \S/.test(it)),
            marks,
          );
          backgrounds.add(background);
        }
      }
      assert.equal(backgrounds.size, 2);
    }),
);
