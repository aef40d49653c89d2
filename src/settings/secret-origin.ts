import * as z from 'zod';

/** Where a secret comes from. */
export type SecretOrigin =
  | { readonly kind: 'env'; readonly name: string }
  | { readonly kind: 'file'; readonly path: string };

const ORIGIN = /^(?:env:([A-Za-z_]\w*)|file:(.+))$/s;
const FORMS = 'is where the secret comes from, and never the secret; write env:NAME or file:PATH';

/** The message repeats nothing: a secret that was written here must not reach a terminal or a log. */
export const secretOrigin = z
  .string({ error: FORMS })
  .regex(ORIGIN, FORMS)
  .transform((text): SecretOrigin => {
    const [, name, path = ''] = ORIGIN.exec(text) ?? [];
    return name === undefined ? { kind: 'file', path } : { kind: 'env', name };
  });
