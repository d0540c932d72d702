import assert from "node:assert/strict";
import { tables } from "../../cli/tables.ts";
import { configurationReference } from "./configuration_reference.ts";

Deno.test("configurationReference() tells all of each key", () => {
  const text = configurationReference(tables.keys);
  assert.equal(text.match(/^## /gm)?.length, tables.keys.length);
  for (const { name, variable, placeholder } of tables.keys) {
    const [, section = ""] = text.split(`## \`${name}\`\n`);
    assert.ok(
      section.includes(`- Flag: \`--${name} ${placeholder}\`\n- Variable: \`${variable}\`\n`),
    );
    assert.match(section, /^- Ini file: `[\w-]+ = …`\n- Default: \S.*\n- Allowed: \S.*\n/m);
    assert.ok(text.includes(`| [\`${name}\`](#${name}) | \`${variable}\` | `));
  }
});
