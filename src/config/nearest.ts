/** More than this share of a word wrong, and the suggestion would be a guess. */
const WRONG_SHARE_MAX = 1 / 3;

/** The known word that was probably meant, or `undefined` when none is close. */
export function nearest(word: string, known: Iterable<string>): string | undefined {
  // Half of every word of two letters is in one letter.
  if (word.length < 2) return undefined;
  let best: string | undefined;
  let bestDistance = Number.POSITIVE_INFINITY;
  for (const candidate of known) {
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase());
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  const allowed = Math.max(1, Math.floor(Math.max(word.length, best?.length ?? 0) * WRONG_SHARE_MAX));
  return bestDistance <= allowed ? best : undefined;
}

/** `; did you mean X?`, or nothing. */
export function suggestion(word: string, known: Iterable<string>, show = (name: string): string => name): string {
  const meant = nearest(word, known);
  return meant === undefined ? '' : `; did you mean ${show(meant)}?`;
}

/** Letters to insert, drop or replace, or neighbours to swap. */
function editDistance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let cost = Math.min((last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (last[j - 1] ?? 0) + (same ? 0 : 1));
      if (a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) cost = Math.min(cost, (beforeLast[j - 2] ?? 0) + 1);
      row.push(cost);
    }
    [beforeLast, last] = [last, row];
  }
  return last[b.length] ?? 0;
}
