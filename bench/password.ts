import { createHash } from 'node:crypto';

/** As htpasswd -s writes it: the one form that costs nothing to check beside the request. */
export const hashed = (password: string): string => `{SHA}${createHash('sha1').update(password).digest('base64')}`;
