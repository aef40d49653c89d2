let second = Number.NaN;
let text = '';

/** `Date` as HTTP writes it (RFC 9110 §5.6.7). Made once a second: a busy proxy needs thousands of the same. */
export function httpDate(wallMs: number): string {
  const now = Math.floor(wallMs / 1000);
  if (now !== second) {
    second = now;
    text = new Date(now * 1000).toUTCString();
  }
  return text;
}
