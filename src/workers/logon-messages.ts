/** What a worker tells the primary about proving who we are at upstream proxies; `n` numbers its turns. */
export type LogonAsk =
  | { readonly is: 'turn'; readonly n: number; readonly key: string }
  /** How the turn ended; `over`: without an answer, or nobody waits for it any more. */
  | { readonly is: 'end'; readonly n: number; readonly how: 'accepted' | 'rejected' | 'over' }
  /** A secret was rejected that had been accepted just before. */
  | { readonly is: 'reject'; readonly key: string };

export type LogonAnswer =
  | {
      readonly is: 'turn';
      readonly n: number;
      readonly kind: 'alone' | 'trusted' | 'rejected';
      readonly hasWaited: boolean;
    }
  /** No worker sends this secret again. */
  | { readonly is: 'latched'; readonly key: string };
