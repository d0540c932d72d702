import { type Check, failed, ok, warning } from "../check.ts";

/** What is set, by what, and what of it cannot be. */
export const configuration: Check = {
  name: "configuration",
  code: 3,
  run({ options: { settings, problems } }) {
    const saw = [
      ...problems.map(({ text }) => text),
      ...settings.map(({ key, text }) => `${key} = ${text}`),
    ];
    const [first] = problems;
    if (!first) return saw.length > 0 ? ok(...saw) : ok("nothing is set: all is by default");
    return first.isWarning ? warning(saw, first.mend) : failed(saw, first.mend);
  },
};
