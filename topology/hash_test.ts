import assert from "node:assert/strict";
import { canonicalForm, canonicalNumber, versionHash } from "./hash.ts";
import { parseJson } from "./json.ts";

const data = new URL("../tests/data/", import.meta.url);
const readData = (name: string) => Deno.readTextFile(new URL(name, data));
const hashOf = (text: string) => versionHash(parseJson(text));
const canonical = (text: string) => canonicalForm(parseJson(text));

const vectors: { text: string; sha256: string }[] = JSON.parse(await readData("hash-vectors.json"));

Deno.test("versionHash() agrees with every vector", async () => {
  assert.ok(vectors.length >= 15);
  for (const { text, sha256 } of vectors) assert.equal(await hashOf(text), sha256, text);
});

Deno.test("versionHash() agrees with the master on whole topologies", async () => {
  assert.equal(
    await hashOf(await readData("topology-one-lan.json")),
    "fa612b8964d4a30463f32e90cb60d8a0b39bcb72c8286a77abc9dad7e46a9fbe",
  );
  assert.equal(
    await hashOf(await readData("topology-three-lans.json")),
    "88dc64f63e2971faecae57a63d466d72f83e34d4756b90d466a5fd70abf8ea50",
  );
});

Deno.test("canonicalForm() drops the volatile keys at every depth, and no others", () => {
  const volatile =
    "created_at status_changed_at updated_at last_seen status version last_error x y w h";
  const dropped = volatile.split(" ").map((key) => `"${key}":{"kept":1}`).join(",");
  assert.equal(
    canonical(`{${dropped},"a":[{"b":{${dropped}}},{"\\u0078":1}],"c":"status"}`),
    '{"a":[{"b":{}},{}],"c":"status"}',
  );
  const kept = '{"":1,"Status":1,"X":1,"created_at ":1,"id":1,"needs_resync":true,"xx":1,"z":1}';
  assert.equal(canonical(kept), kept);
});

Deno.test("canonicalForm() writes Python's form of a document", () => {
  assert.equal(
    canonical('{"b":[true,false,null],"a":{"d":-0.0,"c":-0},"😀":[2.50],"é":1E2}'),
    '{"a":{"c":0,"d":-0.0},"b":[true,false,null],"\\u00e9":100.0,"\\ud83d\\ude00":[2.5]}',
  );
});

Deno.test("canonicalNumber() keeps integers whole", () => {
  const integers = ["0", "7", "-7", "9007199254740993", "9".repeat(400), `-${"9".repeat(400)}`];
  for (const text of integers) assert.equal(canonicalNumber(text), text);
  assert.equal(canonicalNumber("-0"), "0");
});

Deno.test("canonicalNumber() writes floats as Python does", () => {
  const floats = "0.0=0.0 -0.0=-0.0 0e5=0.0 -0e-5=-0.0 1.0=1.0 1e2=100.0 1E+05=100000.0 " +
    "1.50=1.5 -40.25=-40.25 123e-7=1.23e-05 0.0001=0.0001 0.00012345=0.00012345 " +
    "0.00001=1e-05 0.00009999=9.999e-05 1e-7=1e-07 -1.5e-10=-1.5e-10 " +
    "1e15=1000000000000000.0 123456789012345.6=123456789012345.6 " +
    "9999999999999998.0=9999999999999998.0 9999999999999999.0=1e+16 1e16=1e+16 " +
    "12345678901234567890.0=1.2345678901234567e+19 1e22=1e+22 1e100=1e+100 " +
    "0.1=0.1 0.30000000000000004=0.30000000000000004 " +
    "0.1000000000000000055511151231257827=0.1 5e-324=5e-324 2e-324=0.0 " +
    "-2e-324=-0.0 2.2250738585072011e-308=2.225073858507201e-308 " +
    "1e309=Infinity " +
    "-1e309=-Infinity";
  const cases = [
    ...floats.split(" ").map((it) => it.split("=")),
    ["1.7976931348623157e308", "1.7976931348623157e+308"],
    [`${"9".repeat(400)}.0`, "Infinity"],
  ];
  for (const [text, expected] of cases) assert.equal(canonicalNumber(text!), expected, text);
});
