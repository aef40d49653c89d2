import { z } from 'zod';
import { addressBlock } from '../core/address-setting.ts';

/** Where users come from: the path of an htpasswd file, or hashes by name. */
export type UsersOptions = string | Readonly<Record<string, string>>;

export interface ClientsOptions {
  /** Addresses that may use the proxy. Absent: all. */
  readonly allow?: readonly string[] | undefined;
  /** Users, one of whom a client must be. Absent: nobody has to authenticate. */
  readonly users?: UsersOptions | undefined;
}
export type ClientsInput = ClientsOptions;

/** `clients` of the configuration. */
export const clientsSchema: z.ZodType<ClientsOptions, ClientsInput> = z.strictObject({
  allow: z
    .array(addressBlock)
    .min(1, 'is empty: nobody could use the proxy; leave it out')
    .optional()
    .describe('Addresses and blocks that may use the proxy; Unix sockets are ruled by their file mode. Default: all.'),
  users: z
    .union([
      z.string().min(1, 'write the path of an htpasswd file'),
      z
        .record(z.string(), z.string())
        .refine((users) => Object.keys(users).length > 0, 'names no user; leave it out if nobody has to authenticate'),
    ])
    .optional()
    .describe('Who must authenticate (Basic): the path of an htpasswd file (bcrypt, SHA or apr1), or hashes by name.'),
});
