import assert from "node:assert/strict";
import { namesIn, readClaims, unshown } from "./shown_by.ts";

const document = `# Reliability

\`not a name\`

| id | what  |
| -- | ----- |
| D1 | \`x\` |
| D2 | two   |

- D1: \`the agent beats\`,
  \`the agent goes on\`

## Threats

Shown by: \`nobody gets in\`,
\`nothing gets out\`.

\`not a name\` either.
`;

Deno.test("readClaims() reads rows, and what shows each claim", () => {
  assert.deepEqual(readClaims(document), {
    rows: ["D1", "D2"],
    proofs: [
      ["D1", "the agent beats"],
      ["D1", "the agent goes on"],
      ["Threats", "nobody gets in"],
      ["Threats", "nothing gets out"],
    ],
  });
});

Deno.test("unshown() names a row without a test, and a test that did not run", () => {
  const log = "running 1 test\nthe agent beats ... \x1b[32mok\x1b[0m (3ms)\n" +
    "the agent goes on ...Check x.ts\nok (1s)\nok    nobody gets in: 3 tried\n";
  assert.deepEqual(unshown(readClaims(document), namesIn(log)), [
    "D2: nothing shows it",
    "Threats: did not run: nothing gets out",
  ]);
});
