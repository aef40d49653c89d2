import * as z from 'zod';
import { addressBlock } from '../settings/address-setting.ts';
import { listOrOne, type OneOrList } from '../settings/list-setting.ts';

/** Where the token comes from instead of the file in the state folder. */
export type TokenOrigin =
  | { readonly kind: 'env'; readonly name: string }
  | { readonly kind: 'file'; readonly path: string };

/** Paths of PEM files. */
export interface AdminTls {
  readonly cert: string;
  readonly key: string;
}

/** Dashboard, API and metrics, but where they listen. */
export interface AdminOptions {
  /** Absent: a random token, made once and kept in the state folder. */
  readonly token?: TokenOrigin | undefined;
  readonly tls?: AdminTls | undefined;
  /** Addresses that may connect. Absent: all that can. */
  readonly allow?: readonly string[] | undefined;
  /** Who may read `/metrics`: everyone on this machine, or only who has the token. */
  readonly metrics: 'open' | 'token';
  /** Whether modes may be set where other machines are served, or can reach this address. */
  readonly modes: boolean;
}

/** As a person writes them. */
export interface AdminInput {
  readonly listen?: OneOrList<string> | undefined;
  readonly token?: string | undefined;
  readonly tls?: { readonly cert: string; readonly key: string } | undefined;
  readonly allow?: OneOrList<string> | undefined;
  readonly metrics?: 'open' | 'token' | undefined;
  readonly modes?: boolean | undefined;
}

const TOKEN = /^(?:env:([A-Za-z_]\w*)|file:(.+))$/s;
const TOKEN_FORMS = 'is where the token comes from, and never the token; write env:NAME or file:PATH';

/** The message repeats nothing: a token that was written here must not reach a terminal or a log. */
const token = z
  .string({ error: TOKEN_FORMS })
  .regex(TOKEN, TOKEN_FORMS)
  .transform((text): TokenOrigin => {
    const [, name, path = ''] = TOKEN.exec(text) ?? [];
    return name === undefined ? { kind: 'file', path } : { kind: 'env', name };
  });

const path = z.string().min(1, 'write the path of a PEM file');

/** All settings of `admin`; `listen` is the schema of one listener, which belongs to another module. */
export function adminSettings<L extends z.ZodType<unknown, string>>(listen: L) {
  return z.strictObject({
    listen: z
      .union([listen, z.array(listen).min(1, 'names no address; write false for `admin` to have none')])
      .optional()
      .describe(
        'Where the dashboard, the API and the metrics are: as `listen`, without `unix:`. Default: localhost:3129, or a free port when another program has that one. Others may reach it only with `token` and `tls`.',
      ),
    token: token
      .optional()
      .describe(
        'Where the token of the API comes from: `env:NAME` or `file:PATH` (mode 0600). Default: a random one that is made once, in the state folder; `viaduct token` prints it.',
      ),
    tls: z
      .strictObject({
        cert: path.describe('PEM file of the certificate, with the chain behind it.'),
        key: path.describe('PEM file of its private key.'),
      })
      .optional()
      .describe('Serve https.'),
    allow: listOrOne(addressBlock, 'is empty: no client could connect; write false for `admin` instead')
      .optional()
      .describe('Addresses and blocks that may connect. Default: all.'),
    metrics: z
      .enum(['open', 'token'])
      .prefault('open')
      .describe('`/metrics` without the token on loopback, or only with it. Where others can reach it, only with it.'),
    modes: z
      .boolean()
      .prefault(false)
      .describe(
        'Allow `viaduct mode` and `/api/mode` also where a listener of the proxy or of `admin` can be reached by others: a mode sends their requests another way than the configuration says.',
      ),
  });
}
