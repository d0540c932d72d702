/**
 * Secrets that the stand-ins of the tests plant, and the look-out for them: whatever the agent prints,
 * logs, sends or answers in a test passes here.
 */

import assert from "node:assert/strict";

/** In every document of the tests: the password of a service. */
export const plantedPassword = "planted-password-7f3a91c2";

/** How much of a key is as bad as all of it, in characters. */
const pieceLength = 16;
const pieces = new Set<string>([plantedPassword]);

/** Nothing of this private key, a PEM text, may be seen from now on. */
export function plantKey(keyPem: string): void {
  const lines = keyPem.split("\n").filter((line) => line !== "" && !line.startsWith("-----"));
  // The first bytes are the same in all keys of a kind.
  const body = lines.join("").slice(48);
  for (let at = 0; at + pieceLength <= body.length; at += pieceLength) {
    pieces.add(body.slice(at, at + pieceLength));
  }
}

/** The text of a document with a password for each of its deckies. */
export function withPassword(document: string): string {
  const config = JSON.stringify({ ssh: { password: plantedPassword, banner: plantedPassword } });
  const changed = document.replaceAll(/"service_config":\s*\{\s*\}/g, `"service_config":${config}`);
  assert.ok(changed.includes(plantedPassword), "no password was planted");
  return changed;
}

/** Answers what the agent has said. Throws `AssertionError` when there is a secret in it. */
export function assertNoSecrets(text: string): string {
  for (const piece of pieces) {
    assert.ok(!text.includes(piece), `a secret was told: ${text.slice(0, 2_000)}`);
  }
  return text;
}
