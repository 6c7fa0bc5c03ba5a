import { plainText } from './plain-text.js';

/** Columns aligned, two spaces between; the last is as long as it likes. Control characters are replaced. */
export const table = (rows: readonly (readonly string[])[]): string[] => {
  const plain = rows.map((row) => row.map(plainText));
  const widths: number[] = [];
  for (const row of plain) {
    row.forEach((cell, column) => {
      widths[column] = Math.max(widths[column] ?? 0, cell.length);
    });
  }
  return plain.map((row) =>
    row
      .map((cell, column) => (column === row.length - 1 ? cell : cell.padEnd(widths[column] ?? 0)))
      .join('  ')
      .trimEnd(),
  );
};
