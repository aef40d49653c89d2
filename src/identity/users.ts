import type { PasswordHash } from './password-hash.ts';

/** Who may use the proxy, by name. */
export type Users = ReadonlyMap<string, PasswordHash>;

/** Compares a password with the hash of a user. */
export interface Comparer {
  /** What the comparison of a wrong password costs, in microseconds. */
  readonly costUs: number;
  isRight(username: string, password: string): Promise<boolean>;
}

/**
 * Compares with the hash of the user. Every refusal costs one comparison of each kind that the users have, so that the
 * time does not reveal which names exist.
 */
export function comparerOf(users: Users): Comparer {
  const byCost = new Map<number, PasswordHash>();
  for (const hash of users.values()) byCost.set(hash.costUs, hash);
  const kinds = [...byCost.values()];
  return {
    costUs: kinds.reduce((sum, { costUs }) => sum + costUs, 0),
    async isRight(username, password) {
      const own = users.get(username);
      if (own && (await own.verify(password))) return true;
      for (const kind of kinds) if (kind.costUs !== own?.costUs) await kind.verify(password);
      return false;
    },
  };
}
