import { isSignedBy } from "../../master/handshake.ts";
import { installFromBundle } from "../bundle.ts";
import { type Check, ok, skipped, warning } from "../check.ts";
import { commonName } from "../identity.ts";
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
    const issuer = commonName(chain[0].issuer);
    return warning(
      `worker.crt is not signed by ca.crt: its issuer is ${issuer}, and ca.crt is ${names}; a ` +
        "master whose authority is the one will hardly accept the other",
      await installFromBundle(patient, "ca.crt", "worker.crt", "worker.key"),
    );
  },
};
