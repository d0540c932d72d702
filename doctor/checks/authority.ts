import { HandshakeFailure, isSignedBy } from "../../master/handshake.ts";
import { installFromBundle } from "../bundle.ts";
import { type Check, ok, skipped, warning } from "../check.ts";
import { commonName } from "../identity.ts";
import type { Patient } from "../patient.ts";
import { notNeeded } from "./certificates.ts";

/** Whether worker.crt comes from the authority in ca.crt. */
export const authority: Check = {
  name: "authority",
  code: 3,
  async run(patient) {
    if (!patient.needsCertificates) return skipped(notNeeded);
    const identity = await patient.identity();
    if ("problem" in identity) return skipped("the certificates cannot be used");
    const { chain, authorities } = identity;
    const names = authorities.map(({ subject }) => commonName(subject)).join(", ");
    if (isSignedBy(chain, authorities)) return ok(`worker.crt is signed by ca.crt, ${names}`);
    const isNamesake = authorities.some(({ subject }) => subject === chain[0].issuer);
    const issuer = commonName(chain[0].issuer);
    const why = isNamesake
      ? `its issuer has the name of the one in ca.crt, ${issuer}, but another key`
      : `its issuer is ${issuer}, and ca.crt is ${names}`;
    return warning(
      `worker.crt is not signed by ca.crt: ${why}; a master whose authority is the one will ` +
        "hardly accept the other",
      await installFromBundle(patient, ...await wrongFiles(patient)),
    );
  },
};

/** Which of the two does not fit, as far as the master shows it. */
async function wrongFiles(patient: Patient): Promise<string[]> {
  const { handshake } = await patient.master();
  const worker = ["worker.crt", "worker.key"];
  if (!handshake) return ["ca.crt", ...worker];
  if (!(handshake instanceof HandshakeFailure)) return worker;
  switch (handshake.kind) {
    case "authority":
      return handshake.message.includes("not signed by") ? ["ca.crt"] : worker;
    case "other":
      return ["ca.crt", ...worker];
    default:
      // To be asked who it is, the master had to prove by ca.crt who it is.
      return worker;
  }
}
