/** An account at every upstream proxy that checks passwords. */
export interface LabAccount {
  readonly user: string;
  readonly password: string;
}

/** A plain one; one whose password has what encodings trip over; one whose password is outside ASCII (UTF-8 in files). */
export const ACCOUNTS: Readonly<Record<'alice' | 'bob' | 'carol', LabAccount>> = {
  alice: { user: 'alice', password: 'Passw0rd-Alice' },
  bob: { user: 'bob', password: 'p:w@rd 100%/#"x' },
  carol: { user: 'carol', password: 'Grüße-€1' },
};

export const ALL_ACCOUNTS: readonly LabAccount[] = Object.values(ACCOUNTS);
