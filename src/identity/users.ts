import type { Verify } from './basic.ts';
import type { PasswordHash } from './password-hash.ts';
import type { WorkQueue } from './work-queue.ts';

/** Who may use the proxy, by name. */
export type Users = ReadonlyMap<string, PasswordHash>;

/**
 * Compares with the hash of the user. Every refusal takes as long as the costliest comparison among all users, so
 * that the time tells nobody which names exist. Comparisons that take long wait for their turn in `queue`.
 */
export function verifyUsers(users: Users, queue: WorkQueue): Verify {
  const costliest = [...users.values()].reduce((a, b) => (b.costUs > a.costUs ? b : a), NOBODY);
  const compare = async (username: string, password: string): Promise<boolean> => {
    const own = users.get(username);
    if (own && (await own.verify(password))) return true;
    if (!own || own.costUs < costliest.costUs) await costliest.verify(password);
    return false;
  };
  return async ({ username, password }) => {
    const isSlow = costliest.costUs >= SLOW_US;
    const matches = isSlow ? queue.run(() => compare(username, password)) : compare(username, password);
    return (await matches) ? { id: username } : null;
  };
}

const NOBODY: PasswordHash = { costUs: 0, verify: async () => false };
/** From here on a comparison is worth waiting for: a hash that is meant to be slow. */
const SLOW_US = 500;
