import type { Verify } from './basic.ts';
import type { PasswordHash } from './password-hash.ts';
import type { WorkQueue } from './work-queue.ts';

/** Who may use the proxy, by name. */
export type Users = ReadonlyMap<string, PasswordHash>;

/**
 * Compares with the hash of the user. Every refusal costs one comparison of each kind that the users have, so that the
 * time tells nobody which names exist. Comparisons that take long wait for their turn in `queue`.
 */
export function verifyUsers(users: Users, queue: WorkQueue): Verify {
  const kinds = [...new Map([...users.values()].map((hash) => [hash.costUs, hash])).values()];
  const compare = async (username: string, password: string): Promise<boolean> => {
    const own = users.get(username);
    if (own && (await own.verify(password))) return true;
    for (const kind of kinds) if (kind.costUs !== own?.costUs) await kind.verify(password);
    return false;
  };
  const isSlow = kinds.some(({ costUs }) => costUs >= SLOW_US);
  return async ({ username, password }) => {
    const matches = isSlow ? queue.run(() => compare(username, password)) : compare(username, password);
    return (await matches) ? { id: username } : null;
  };
}

/** From here on a comparison is worth waiting for: a hash that is meant to be slow. */
const SLOW_US = 500;
