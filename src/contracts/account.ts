/** A user at an upstream proxy, without the secret. */
export interface Account {
  readonly user: string;
  readonly domain: string | undefined;
}

/** `CORP\me`, or `me`: what people read, the name of an entry in the keyring, and the user in schemes that know no domain. */
export const accountLabel = ({ user, domain }: Account): string => (domain ? `${domain}\\${user}` : user);
