import type { Tables } from "../packaging/mod.ts";
import { keyNames, keys, variableOf } from "./keys.ts";
import {
  changeCodes,
  checkCodes,
  commandUsages,
  optionUsages,
  printables,
  shells,
} from "./usage.ts";
import { agentVersion } from "./version.ts";

/** All that is told of the command line, for what is printed of it. */
export const tables: Tables = {
  version: agentVersion,
  commands: commandUsages,
  options: optionUsages,
  keys: keyNames.map((name) => ({ name, variable: variableOf(name), ...keys[name] })),
  printables,
  shells,
  checkCodes,
  changeCodes,
};
