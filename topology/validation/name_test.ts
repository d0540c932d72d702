import assert from "node:assert/strict";
import { isImageReference } from "../image.ts";
import { checkId, checkImage, checkName } from "./name.ts";
import { named } from "./problem.ts";

const goodNames = ["a", "0", "A", "LAN-00", "a.b_c-d", "a.", "a..b", "a-", "constructor"];
const badNames = [
  "",
  "-a",
  ".a",
  "_a",
  "__proto__",
  "a b",
  " a",
  "a\n",
  "a/b",
  "a:b",
  "../a",
  "é",
  "a\u0000",
  "{a}",
];

Deno.test("checkName() takes what Docker takes, up to 63 characters", () => {
  for (const name of [...goodNames, "a".repeat(63)]) {
    assert.deepEqual(checkName(name, named(name, "here")), [], name);
  }
  for (const name of [...badNames, "a".repeat(64), "a".repeat(8 << 20)]) {
    const problems = checkName(name, named(name, "here"));
    assert.deepEqual(problems.map(({ code, place }) => [code, place]), [[
      "NAME_MALFORMED",
      "here",
    ]]);
  }
  assert.equal(
    checkName("a b", named("a b", "lans[0].name"))[0]?.message,
    '"a b" at lans[0].name: a name must be at most 63 letters (A-Z, a-z), digits, "_", "." and "-", ' +
      "and begin with a letter or digit",
  );
});

Deno.test("checkId() takes the same, up to 64 characters", () => {
  for (const id of [...goodNames, "7c9e6679-7425-40de-944b-e07fc1f90ae7", "a".repeat(64)]) {
    assert.deepEqual(checkId(id), [], id);
  }
  for (const id of [...badNames, "a".repeat(65), "a".repeat(8 << 20)]) {
    const problems = checkId(id);
    assert.deepEqual(problems.map(({ code, place }) => [code, place]), [
      ["ID_MALFORMED", "topology.id"],
    ]);
  }
});

const hex = "0123456789abcdef".repeat(4);

// What Docker 20.10 said of each: no such image, or an invalid reference.
const references = [
  "ubuntu",
  "ubuntu:22.04",
  "library/ubuntu",
  "1",
  "1.2",
  "0/0",
  "a.b",
  "a_b",
  "a__b",
  "a-b",
  "a---b",
  "a:Tag_1.2-3",
  "a:_t",
  `a:${"t".repeat(128)}`,
  "a/b/c/d/e/f/g:1",
  "localhost/a",
  "localhost:5000/a",
  "localhost:5000",
  "reg.example.com/a/b/c:1",
  "reg.example.com:5000/a",
  "REG.example.com/a",
  "REG:5000/a",
  "a:1/c",
  "reg_x.com/a",
  "xn--a/b",
  "10.0.0.1/a",
  "10.0.0.1:5000/a:1",
  `a@sha256:${hex}`,
  `a:1@sha256:${hex}`,
  `reg.example.com:5000/a/b:1@sha256:${hex}`,
  `sha256:${hex}`,
  hex,
  "sha256:latest",
];
const noReferences = [
  "Ubuntu",
  "Library/ubuntu",
  "REG/a",
  "LOCALHOST/a",
  "a___b",
  "a..b",
  "a_-b",
  "a-",
  "-a",
  "a.",
  "_a",
  "a/",
  "/a",
  "a//b",
  "a:",
  "a:.t",
  "a:-t",
  `a:${"t".repeat(129)}`,
  "a:b:c",
  "a@",
  "a@b",
  `a@sha256:${hex.slice(1)}`,
  `a@sha256:${hex}0`,
  `a@sha256:${hex.toUpperCase()}`,
  `a@sha256:${hex}:1`,
  `a@md5:${hex.slice(32)}`,
  `@sha256:${hex}`,
  "reg.example.com:/a",
  "reg-.com/a",
  "-reg.com/a",
  "reg.com./a",
  "a..b/c",
  "a_b.c:80/d",
  "localhost:abc/a",
  "[::1]:5000/a",
  "a/__b",
  "../a",
  "a/../b",
  "a b",
  " a",
  "a\n",
  "a\t",
  "a\u0000",
  "a?b",
  "a#b",
  "a%2fb",
  "é",
  "decnet-{service}",
];

Deno.test("isImageReference() takes what Docker takes", () => {
  for (const text of references) assert.equal(isImageReference(text), true, text);
});

Deno.test("isImageReference() refuses what Docker refuses, and an empty one", () => {
  // Docker 20.10 makes a container without an image of the empty one.
  for (const text of ["", ...noReferences]) {
    assert.equal(isImageReference(text), false, JSON.stringify(text));
  }
});

Deno.test("isImageReference() takes at most 255 characters", () => {
  assert.equal(isImageReference(`reg.example.com/${"a".repeat(239)}`), true);
  assert.equal(isImageReference(`reg.example.com/${"a".repeat(240)}`), false);
});

Deno.test("isImageReference() needs no more than linear time", () => {
  // With exponential or cubic time, this would not end.
  for (const piece of ["a", "a-", "a.", "a__", "a/", "a:1/", "a.a:1/", "-", "0", "A."]) {
    for (const length of [255, 8 << 20]) {
      const text = piece.repeat(Math.ceil(length / piece.length)).slice(0, length - 1) + "!";
      for (let round = 0; round < 100; round++) assert.equal(isImageReference(text), false);
    }
  }
});

Deno.test("checkImage() names the image", () => {
  const subject = { what: "service ssh of a", place: "here" };
  assert.deepEqual(checkImage("sshd:1", subject), []);
  assert.deepEqual(checkImage("sshd:", subject), [{
    code: "NAME_MALFORMED",
    place: "here",
    message: "service ssh of a at here: sshd: is no Docker image reference",
  }]);
});
