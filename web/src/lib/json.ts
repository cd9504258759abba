/** Reading JSON without losing digits, and deciding how to show it. */

/** A number with more digits than a JavaScript number keeps, as it was written. */
export class ExactNumber {
  constructor(readonly source: string) {}
}

/** Parses JSON; whole numbers beyond 2⁵³ stay as they were written, where the browser can tell. */
export function parseExact(text: string): unknown {
  const revive = (_key: string, value: unknown, context?: { source?: string }) =>
    typeof value === "number" && Number.isInteger(value) && !Number.isSafeInteger(value) && context?.source
      ? new ExactNumber(context.source)
      : value;
  return JSON.parse(text, revive as (key: string, value: unknown) => unknown);
}

export type Row = Record<string, unknown>;

export const isPlain = (value: unknown): value is Row =>
  typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof ExactNumber);

/** The columns of a table, where a list is one: objects that have the same few simple keys. */
export function tableColumns(list: unknown[]): string[] | undefined {
  const first = list[0];
  if (list.length < 2 || !isPlain(first)) return undefined;
  const columns = Object.keys(first);
  if (columns.length === 0 || columns.length > 8) return undefined;
  const same = list.every(
    (row) =>
      isPlain(row) &&
      Object.keys(row).length === columns.length &&
      columns.every((column) => column in row && (typeof row[column] !== "object" || row[column] === null)),
  );
  return same ? columns : undefined;
}
