import assert from "node:assert/strict";
import { topologyId } from "../../tests/support/agent_setup.ts";
import { Chromium, needsChromium, type View } from "../../tests/support/chromium.ts";
import { ExampleMaster, withExample } from "../../tests/support/example_master.ts";

const chromium = needsChromium();
const desk: View = { width: 1200, height: 800, scheme: "light" };

function browserTest(name: string, fn: () => Promise<void>): void {
  Deno.test({ name: name + chromium.suffix, ignore: chromium.ignore, fn });
}

for (const scripts of [true, false]) {
  const how = scripts ? "with scripts" : "without scripts";
  browserTest(`the example master's page shows drift and lateness by itself, ${how}`, async () => {
    chromium.check();
    // Late 4 s after a beat.
    const pace = { intervalMs: 1_500, marginMs: 1_000 };
    await withExample(async (master, setup, beat) => {
      await using browser = await Chromium.start();
      await browser.look(desk);
      await browser.open(master.url, { scripts });
      await browser.until((source) => source.includes("not heard of yet"));
      setup.apply();
      await beat();
      await browser.until((source) => source.includes("consistent"));
      setup.engine.containers = setup.engine.containers.map((it) => ({ ...it, State: "exited" }));
      await beat();
      const heardAt = performance.now();
      assertSoon(await browser.until((source) => source.includes("stopped: container decnet_t_")));
      await browser.until((source) => /\blate<\/b>/.test(source));
      assertSoon(performance.now() - heardAt - 4_000);
      await beat();
      assertSoon(await browser.until((source) => !/\blate<\/b>/.test(source)));
      assert.deepEqual(browser.complaints.filter((it) => !it.includes("404")), []);
    }, pace);
  });
}

browserTest(
  "the example master's page says when the master has gone, and when it is back",
  async () => {
    chromium.check();
    await using master = await ExampleMaster.start();
    await using browser = await Chromium.start();
    await browser.open(master.url);
    const isGone = /<p id="gone" role="alert">/;
    await browser.until((source) => source.includes("none is enrolled") && !isGone.test(source));
    const pagePort = Number(new URL(master.url).port);
    await master.stop();
    await browser.until((source) => isGone.test(source));
    await using _again = await ExampleMaster.start({ pagePort });
    await browser.until((source) => source.includes("none is enrolled") && !isGone.test(source));
  },
);

browserTest("the example master's page makes no markup of what hosts say", async () => {
  chromium.check();
  await withExample(async (master, setup, beat) => {
    await beat();
    const hostile =
      `"'><img src=x onerror="document.title='owned'"><script>document.title='owned'</script>`;
    setup.changeStore((store) => store.recordError(topologyId, hostile));
    await beat();
    const fingerprint = master.hosts.all()[0]!.fingerprint;
    master.hosts.set("host-1", { name: hostile, fingerprint });
    await using browser = await Chromium.start();
    await browser.open(master.url);
    await browser.until((source) => source.includes("apply failed"));
    const seen = "[...document.querySelectorAll('h2, li')].map((it) => it.innerText).join('|')";
    const text = String(await browser.evaluate(seen));
    assert.equal(text.split(hostile).length, 3, text);
    assert.equal(
      await browser.evaluate("document.querySelectorAll('main img, main script').length"),
      0,
    );
    assert.equal(await browser.evaluate("document.title"), "(1) DECNET");
    // Even a hole would do no harm: the policy lets no other script run.
    const hole =
      "document.querySelector('main').innerHTML = `<img src=x onerror=\"document.title='owned'\">`";
    await browser.evaluate(hole);
    await browser.until(() =>
      browser.complaints.some((it) => it.includes("Content Security Policy"))
    );
    assert.notEqual(await browser.evaluate("document.title"), "owned");
  });
});

/** The least contrast, as WCAG reckons it, between a text in the page and what is behind it. */
const leastContrast = `(() => {
  const channels = (colour) => colour.match(/[\\d.]+/g).map(Number);
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
    return "rgb(255, 255, 255)";
  };
  const texts = [...document.querySelectorAll("h1, h2, b, li, main p, #gone")];
  return Math.min(...texts.map((element) => {
    const [a, b] = [light(getComputedStyle(element).color), light(behind(element))];
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  }));
})()`;

browserTest(
  "the example master's page can be read on a phone, in light and dark, and without colour",
  async () => {
    chromium.check();
    await withExample(async (master, setup, beat) => {
      setup.apply();
      setup.engine.containers = setup.engine.containers.map((it) => ({ ...it, State: "exited" }));
      await beat();
      master.hosts.set("host-1", { name: "a-name-without-any-space-".repeat(8) });
      for (const name of ["host-2", "host-3"]) {
        master.hosts.enrol(name, Deno.readTextFileSync(`${setup.path}/worker.crt`));
      }
      master.hosts.set("host-2", { beat: master.hosts.all()[0]!.beat, heardAt: 1 });
      await using browser = await Chromium.start();
      await browser.open(master.url);
      await browser.until((source) => source.includes("late"));
      const backgrounds = new Set();
      for (const scheme of ["light", "dark"] as const) {
        for (const width of [320, 390, 1200]) {
          await browser.look({ width, height: 700, scheme, mobile: width < 600 });
          const wide = "document.documentElement.scrollWidth > innerWidth";
          assert.equal(await browser.evaluate(wide), false, `${width}`);
          assert.equal(await browser.evaluate("innerWidth"), width);
        }
        const contrast = Number(await browser.evaluate(leastContrast));
        assert.ok(contrast >= 4.5, `${scheme}: ${contrast}`);
        backgrounds.add(await browser.evaluate("getComputedStyle(document.body).backgroundColor"));
      }
      assert.equal(backgrounds.size, 2);
      const marks = "[...document.querySelectorAll('main > section > article > ul > li > b')]" +
        ".every((it) => /^[✖◆✔]\\S* \\S/.test(it.innerText))";
      assert.equal(await browser.evaluate(marks), true);
    });
  },
);

/** The page's own second, and what two busy cores take. */
function assertSoon(ms: number): void {
  assert.ok(ms < 2_000, `${ms} ms`);
}
