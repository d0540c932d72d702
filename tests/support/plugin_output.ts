/** A value of the performance data. */
interface Figure {
  readonly label: string;
  readonly value: number;
  /** The unit of measurement; empty for a count. */
  readonly unit: string;
}

/** The parsed output of a monitoring plugin. */
interface PluginOutput {
  readonly service: string;
  readonly status: string;
  readonly text: string;
  readonly figures: readonly Figure[];
}

// 'label'=value[UOM];[warn];[crit];[min];[max]; quotes may be left out, and what is empty at the end.
const number = String.raw`-?(?:\d+(?:\.\d*)?|\.\d+)`;
const range = String.raw`@?(?:(?:~|${number})?:)?(?:${number})?`;
const figure = new RegExp(
  String.raw`^(?:'((?:[^'=]|'')+)'|([^'=\s]+))=(${number})(s|us|ms|%|B|KB|MB|TB|c|)` +
    String.raw`(?:;${range}(?:;${range}(?:;(?:${number})?(?:;(?:${number})?)?)?)?)?$`,
);

/** Parses the output of a plugin. Throws `Error` where it breaks the Monitoring Plugins guidelines. */
export function readPluginOutput(printed: string): PluginOutput {
  if (!/^[^\n]*\n$/.test(printed)) throw new Error("it is not one line");
  // deno-lint-ignore no-control-regex
  if (/[\x00-\x1f\x7f-\x9f\u2028\u2029]/.test(printed.slice(0, -1))) {
    throw new Error("a control character");
  }
  const [head = "", data = "", ...more] = printed.trimEnd().split("|");
  if (more.length > 0) throw new Error("more than one bar");
  const [, service, status, text] =
    /^([A-Z]+) (OK|WARNING|CRITICAL|UNKNOWN) - (\S.*?) ?$/.exec(head) ?? [];
  if (service === undefined) throw new Error(`no SERVICE STATUS - text: ${head}`);
  // Some servers cut the output at this length.
  if (new TextEncoder().encode(printed).length > 4096) throw new Error("over 4 KiB");
  const figures = split(data.trim()).map((part): Figure => {
    const [, quoted, bare, value, unit] = figure.exec(part) ?? [];
    if (value === undefined) throw new Error(`no figure: ${part}`);
    return { label: bare ?? quoted!.replaceAll("''", "'"), value: Number(value), unit: unit! };
  });
  // Old databases keep this many characters of a label.
  const labels = new Set(figures.map(({ label }) => label.slice(0, 19)));
  if (labels.size < figures.length) throw new Error("two labels alike");
  return { service, status: status!, text: text!, figures };
}

/** Splits at spaces outside of quotes. */
function split(data: string): string[] {
  return data === "" ? [] : data.match(/(?:'[^']*'|[^'\s])+|'/g) ?? [data];
}
