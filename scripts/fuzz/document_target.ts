import assert from "node:assert/strict";
import { type Candidate, examine, Refusal } from "../../apply/mod.ts";
import {
  compareCodePoints,
  defaultImages,
  type Json,
  NumberToken,
  parseJson,
  versionHash,
  writeJson,
} from "../../topology/mod.ts";
import type { Chance } from "./chance.ts";
import { documentBytes } from "./documents.ts";
import { checkError, checkMessage } from "./message_oracle.ts";
import { checkPlan } from "./plan_oracle.ts";
import { ServiceHost } from "./service_host.ts";
import type { Target } from "./target.ts";

/** How many cases go through the whole service, to an engine. */
const casesForEachRun = 30;

/** Documents, as the API and `apply FILE` take them. */
export async function open(folder: string): Promise<Target> {
  const host = await ServiceHost.open(folder);
  return {
    run: async (chance) => {
      const document = read(documentBytes(chance));
      if (document === null) return "not JSON";
      if (chance.isOneIn(casesForEachRun)) return await host.apply(document);
      const candidate = await examined(document);
      if (!(candidate instanceof Refusal)) await checkCandidate(candidate, document, chance);
      return candidate instanceof Refusal ? candidate.kind : "planned";
    },
    [Symbol.asyncDispose]: () => host[Symbol.asyncDispose](),
  };
}

/** The document, or null when the bytes are none. */
function read(bytes: Uint8Array): Json {
  try {
    return parseJson(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
    checkError(error, ["SyntaxError", "TypeError"]);
    if (error.name === "TypeError") assert.match(error.message, /not valid/);
    checkMessage(error.message, 200);
    return null;
  }
}

async function examined(document: Json): Promise<Candidate | Refusal> {
  try {
    return await examine(document, { expectedHash: null, images: defaultImages });
  } catch (error) {
    // What the API hands over lies a level deeper in its body, so that it never meets this one.
    if (error instanceof SyntaxError) return new Refusal("malformed", error.message);
    checkRefusal(error);
    return error;
  }
}

function checkRefusal(error: unknown): asserts error is Refusal {
  if (!(error instanceof Refusal)) throw error;
  assert.ok(error.kind === "malformed" || error.kind === "invalid", error.kind);
  checkMessage(error.message);
}

async function checkCandidate(
  { plan, text, versionHash: hash }: Candidate,
  document: Json,
  chance: Chance,
): Promise<void> {
  checkPlan(plan);
  assert.match(text, /^[\x20-\x7e]*$/);
  const again = parseJson(text);
  assert.equal(writeJson(again), text, "what is stored is read as something else");
  assert.equal(await versionHash(again), hash, "the stored document has another hash");
  assert.equal(await versionHash(shuffled(document, chance)), hash, "the order of keys counts");
  const next = await examine(again, { expectedHash: hash, images: defaultImages });
  assert.deepEqual(next.plan, plan);
}

/** The document with the keys of each object in another order. */
function shuffled(value: Json, chance: Chance): Json {
  if (value === null || typeof value !== "object" || value instanceof NumberToken) return value;
  if (Array.isArray(value)) return value.map((item) => shuffled(item, chance));
  const sign = chance.isOneIn(2) ? 1 : -1;
  const copy: { [key: string]: Json } = Object.create(null);
  for (const key of Object.keys(value).sort((a, b) => sign * compareCodePoints(a, b))) {
    copy[key] = shuffled(value[key]!, chance);
  }
  return copy;
}
