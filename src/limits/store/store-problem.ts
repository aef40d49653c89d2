import { replyCode } from './store-client.ts';

/** Why a call has failed; the state of the link says since when. */
export class StoreDownError extends Error {
  override readonly name = 'StoreDownError';
}

/** Of the store, or of the system. */
export const codeOf = (error: unknown): string => {
  const code = replyCode(error);
  return code === '' && error instanceof Error && 'code' in error ? String(error.code) : code;
};

const PROBLEMS: Readonly<Record<string, string>> = {
  OOM: 'is full (maxmemory)',
  READONLY: 'is a read-only replica',
  LOADING: 'is loading its data',
  BUSY: 'is busy with a script',
  CLUSTERDOWN: 'is a cluster that is down',
  MASTERDOWN: 'has lost its master',
  MISCONF: 'cannot save its data',
  NOAUTH: 'wants a password (limits.storePassword)',
  WRONGPASS: 'rejects the user or the password',
  NOPERM: 'does not permit a command that is needed (ACL: +@read +@write +@scripting +@connection +time +info)',
  CROSSSLOT: 'is a cluster; write redis+cluster:// in limits.store',
  MOVED: 'is a cluster; write redis+cluster:// in limits.store',
  ECONNREFUSED: 'refuses connections',
};

/** In words of this program: what the store says may hold anything. */
export function problemOf(error: unknown): string {
  if (error instanceof StoreDownError) return error.message;
  const code = codeOf(error);
  return PROBLEMS[code] ?? (code === '' ? 'cannot be reached' : `cannot be used (${code})`);
}
