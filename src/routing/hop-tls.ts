import { createHash } from 'node:crypto';
import * as z from 'zod';
import type { HopTls } from '../contracts/outbound.ts';

/** How to speak TLS with one proxy, as a route hook writes it; names as for `tls.connect`. */
export interface HopTlsInput {
  /** Authorities that are trusted besides those of this machine, as PEM. */
  readonly ca?: string | readonly string[] | undefined;
  /** A certificate of our own and its key, as PEM. */
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  readonly passphrase?: string | undefined;
  /** The name that the certificate has, where that is not the host of the URL. */
  readonly servername?: string | undefined;
  /** SHA-256 of the only certificate that is trusted, by whichever authority it is signed, with or without colons. */
  readonly fingerprint256?: string | undefined;
  /** `false`: any certificate is trusted, and anyone on the way reads and changes what passes. */
  readonly rejectUnauthorized?: boolean | undefined;
}

const pem = z.string().regex(/-----BEGIN /, 'is not PEM, which begins with -----BEGIN');

/** Logins and keys stand in memory once; what tells two of them apart is a digest. */
export const hopTls: z.ZodType<HopTls, HopTlsInput> = z
  .strictObject({
    ca: z.union([pem.transform((one) => [one]), z.array(pem).readonly()]).optional(),
    cert: pem.optional(),
    key: pem.optional(),
    passphrase: z.string().optional(),
    servername: z.string().min(1).optional(),
    fingerprint256: z
      .string()
      .transform((text) => text.replaceAll(':', '').toLowerCase())
      .refine((text) => /^[0-9a-f]{64}$/.test(text), 'is no SHA-256: 64 hexadecimal digits')
      .optional(),
    rejectUnauthorized: z.boolean().optional(),
  })
  .refine(({ cert, key }) => (cert === undefined) === (key === undefined), 'has only one of cert and key')
  .transform(({ fingerprint256: fingerprint, ...rest }) => {
    const id = createHash('sha256')
      .update(JSON.stringify({ ...rest, fingerprint }))
      .digest('base64url');
    return { ...rest, fingerprint, id };
  });
