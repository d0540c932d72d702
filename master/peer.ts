import type * as Tls from "node:tls";
import type { MasterAddress } from "./address.ts";

/** The master's authority is the right one, and yet it is not the master that is wanted. */
export class WrongPeer extends Error {
  override readonly name = "WrongPeer";

  /** `presented` is what its certificate bears in place of what is wanted. */
  constructor(
    message: string,
    readonly wanted: "name" | "fingerprint",
    readonly presented: string,
  ) {
    super(message);
  }
}

/** Whether a master whose chain was verified bears the right name and is the pinned one. */
export function checkPeer(
  { name, fingerprint: pinned }: MasterAddress,
  peer: Tls.PeerCertificate,
  tls: Pick<typeof Tls, "checkServerIdentity">,
): WrongPeer | undefined {
  if (tls.checkServerIdentity(name, peer)) {
    const borne = peer.subjectaltname || `CN:${peer.subject?.CN}`;
    const message =
      `its certificate does not bear the name ${name}, but ${borne}; master-name tells the name`;
    return new WrongPeer(message, "name", borne);
  }
  const fingerprint = peer.fingerprint256.replaceAll(":", "").toLowerCase();
  if (pinned === null || pinned === fingerprint) return;
  const message =
    `its certificate is not the pinned one, but has the fingerprint ${fingerprint}; ` +
    "master-fingerprint tells the pinned one";
  return new WrongPeer(message, "fingerprint", fingerprint);
}
