import assert from "node:assert/strict";
import { Progress } from "./progress.ts";

/** What a progress writes on a terminal of so many columns; null: on none. */
function written(columns: number | null, tell: (progress: Progress) => void): string {
  let text = "";
  tell(new Progress({ stderr: (part) => text += part, columns: () => columns }));
  return text;
}

const step = { done: 3, total: 14, text: "create network decnet_t_11111111_lan-00" };

Deno.test("Progress writes a line for each step where there is no terminal", () => {
  // A terminal that was never told its size is as good as none.
  for (const columns of [null, 0]) {
    const text = written(columns, (progress) => {
      progress.waiting("process 7 since 2026-01-02T03:04:05.678Z for apply topology-1");
      progress.step(step);
      progress.step({ ...step, done: 4, text: "start container x" });
      progress.end();
    });
    assert.equal(
      text,
      "waiting: another apply or teardown is under way, by process 7 since " +
        "2026-01-02T03:04:05.678Z for apply topology-1\n" +
        "[3/14] create network decnet_t_11111111_lan-00\n[4/14] start container x\n",
    );
  }
});

Deno.test("Progress writes over one line of a terminal, and clears it at the end", () => {
  const text = written(80, (progress) => {
    progress.waiting("process 7");
    progress.step(step);
    progress.end();
  });
  assert.equal(
    text,
    "\r\x1b[Kwaiting: another apply or teardown is under way, by process 7" +
      "\r\x1b[K[3/14] create network decnet_t_11111111_lan-00\r\x1b[K",
  );
});

Deno.test("Progress cuts what a line of the terminal does not hold", () => {
  const [, ...lines] = written(12, (progress) => {
    progress.step(step);
    progress.step({ ...step, text: "x" });
    progress.step({ ...step, text: "1234" });
    progress.step({ ...step, text: "12345" });
  }).split("\r\x1b[K");
  // The last column stays empty: with it some terminals begin a new line.
  assert.deepEqual(lines, ["[3/14] crea", "[3/14] x", "[3/14] 1234", "[3/14] 1234"]);
});

Deno.test("Progress follows a terminal whose size changes", () => {
  const sizes = [80, 10, 80];
  let text = "";
  const columns = () => sizes.shift()!;
  const progress = new Progress({ stderr: (part) => text += part, columns });
  for (let times = 0; times < 3; times++) progress.step({ ...step, text: "start" });
  assert.equal(text, ["", "[3/14] start", "[3/14] st", "[3/14] start"].join("\r\x1b[K"));
});

Deno.test("Progress.end() writes nothing when nothing was told, or once it is over", () => {
  assert.equal(written(80, (progress) => progress.end()), "");
  const text = written(80, (progress) => {
    progress.step(step);
    progress.end();
    progress.end();
  });
  assert.equal(text.split("\r\x1b[K").length, 3);
});

Deno.test("Progress lets nothing through that steers the terminal", () => {
  for (const columns of [null, 200]) {
    const text = written(columns, (progress) => {
      progress.step({ ...step, text: "a\nb\x1b[31mc\r\u202ed" });
      progress.waiting("process 7\n\x1b[2J");
    });
    const own = columns ? text.replaceAll("\r\x1b[K", "\n") : text;
    // deno-lint-ignore no-control-regex
    assert.doesNotMatch(own, /[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e]/);
    assert.equal(own.trim().split("\n").length, 2);
    assert.ok(own.includes("[3/14] a b [31mc d"));
  }
});
