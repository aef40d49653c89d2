import { execFileSync } from 'node:child_process';

/** Hashes as servers keep them: APR1 for htpasswd files, SHA-512 for shadow. */
export const apr1 = (password: string): string => hashed('-apr1', password);
export const sha512 = (password: string): string => hashed('-6', password);

const hashed = (kind: string, password: string): string =>
  execFileSync('openssl', ['passwd', kind, '-stdin'], { input: password, encoding: 'utf8' }).trim();
