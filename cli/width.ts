/** How many columns a text takes on a terminal, at most. */
export function widthOf(text: string): number {
  return [...text].reduce((sum, character) => sum + columnsOf(character), 0);
}

/** The text, or as much of it as fits into so many columns, with `…` at its end. */
export function cut(text: string, columns: number): string {
  if (widthOf(text) <= columns) return text;
  let left = columns - 1;
  if (left < 0) return "";
  let start = "";
  for (const character of text) {
    left -= columnsOf(character);
    if (left < 0) break;
    start += character;
  }
  return `${start}…`;
}

/**
 * A terminal gives 2 columns to an ideogram or an emoji. To take more of them for wide than are costs
 * a few characters; to take one for narrow would break the line.
 */
function columnsOf(character: string): number {
  const point = character.codePointAt(0)!;
  return point < 0x1100 || (point >= 0x2010 && point < 0x2600) ? 1 : 2;
}
