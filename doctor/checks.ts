import type { Check } from "./check.ts";
import { api } from "./checks/api.ts";
import { authority } from "./checks/authority.ts";
import { certificates } from "./checks/certificates.ts";
import { configuration } from "./checks/configuration.ts";
import { drift } from "./checks/drift.ts";
import { engine } from "./checks/engine.ts";
import { lock } from "./checks/lock.ts";
import { masterConnection, masterName, masterTls } from "./checks/master.ts";
import { otherAgents } from "./checks/other_agents.ts";
import { prefixes } from "./checks/prefixes.ts";
import { runtime } from "./checks/runtime.ts";
import { service } from "./checks/service.ts";
import { socket } from "./checks/socket.ts";
import { stateDirectory } from "./checks/state_directory.ts";
import { store } from "./checks/store.ts";
import { textfile } from "./checks/textfile.ts";
import { clock, validity } from "./checks/validity.ts";

/** All checks, in the order in which they are told: what others need comes before them. */
export const checks: readonly Check[] = [
  runtime,
  clock,
  configuration,
  stateDirectory,
  store,
  lock,
  socket,
  engine,
  prefixes,
  drift,
  certificates,
  authority,
  validity,
  masterName,
  masterConnection,
  masterTls,
  api,
  textfile,
  service,
  otherAgents,
];
