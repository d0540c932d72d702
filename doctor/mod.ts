/** What is wrong on this host, and the one command that mends it. Changes nothing and sends nothing. */
export type { Check, Result } from "./check.ts";
export { checks } from "./checks.ts";
export { examine, exitCodeOf, type Finding } from "./examination.ts";
export { quote } from "./files.ts";
export { readService } from "./service.ts";
export { Patient, type PatientOptions } from "./patient.ts";
