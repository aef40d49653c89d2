import { ProxyError } from '../core/failure.ts';

/** What went wrong, for people. Node says nothing but a code when several addresses of one host have failed. */
export function troubleOf(error: unknown): string {
  if (error instanceof ProxyError) return error.detail;
  if (!(error instanceof Error)) return String(error);
  if (error.message !== '') return error.message;
  return 'code' in error ? String(error.code) : error.name;
}
