// deno-lint-ignore-file no-control-regex
/** How a character looks; no colour is the terminal's own. */
export interface Style {
  /** 0 to 15: the eight colours, and the bright ones. */
  readonly colour: number | null;
  readonly isBold: boolean;
}

/** A place on the screen that shows a character. */
export interface Cell extends Style {
  readonly character: string;
}

/** Characters side by side that look alike; the column counts from 0. */
export interface Run extends Style {
  readonly column: number;
  readonly text: string;
}

const plain: Style = { colour: null, isBold: false };

/**
 * What a terminal of so many columns shows of an output: its rows, the longest wrapped as a terminal
 * does. Every character takes one column. Throws `Error` for a control that is no colour.
 */
export function screenOf(output: string, columns: number): Cell[][] {
  const rows: Cell[][] = [[]];
  let style = plain;
  for (const [token] of output.matchAll(/\x1b\[[\d;]*m|\r?\n|[^]/gu)) {
    if (token.endsWith("\n")) rows.push([]);
    else if (token.length > 1 && token.startsWith("\x1b")) style = changed(style, token);
    else if (/\p{Cc}/u.test(token)) {
      throw new Error(`Cannot show the control character ${JSON.stringify(token)}`);
    } else {
      if (rows.at(-1)!.length === columns) rows.push([]);
      rows.at(-1)!.push({ character: token, ...style });
    }
  }
  if (rows.at(-1)!.length === 0) rows.pop();
  return rows;
}

/** The style behind a sequence such as `\x1b[1;31m`. */
function changed(style: Style, sequence: string): Style {
  return sequence.slice(2, -1).split(";").map(Number).reduce((before, code): Style => {
    if (code === 0) return plain;
    if (code === 1) return { ...before, isBold: true };
    if (code === 22) return { ...before, isBold: false };
    if (code === 39) return { ...before, colour: null };
    if (code >= 30 && code <= 37) return { ...before, colour: code - 30 };
    if (code >= 90 && code <= 97) return { ...before, colour: code - 90 + 8 };
    throw new Error(`Cannot show ${JSON.stringify(sequence)}: ${code} is no known style`);
  }, style);
}

/** The runs of a row: none begins or ends with a space, or holds two spaces side by side. */
export function runsOf(row: readonly Cell[]): Run[] {
  const runs: Run[] = [];
  for (let start = 0; start < row.length;) {
    const { colour, isBold } = row[start]!;
    let end = start + 1;
    while (end < row.length && row[end]!.colour === colour && row[end]!.isBold === isBold) end++;
    const text = row.slice(start, end).map(({ character }) => character).join("");
    for (const { 0: words, index } of text.matchAll(/\S+(?: \S+)*/g)) {
      const column = start + [...text.slice(0, index)].length;
      runs.push({ column, text: words, colour, isBold });
    }
    start = end;
  }
  return runs;
}

/** What is to be read on a screen, without colours. */
export function textOf(rows: readonly (readonly Cell[])[]): string {
  return rows.map((row) => `${row.map(({ character }) => character).join("")}\n`).join("");
}
