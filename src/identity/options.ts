import * as z from 'zod';
import { addressBlock } from '../settings/address-setting.ts';
import { listOrOne, type OneOrList } from '../settings/list-setting.ts';

/** Where users come from: the path of an htpasswd file, or hashes by name. */
export type UsersOptions = string | Readonly<Record<string, string>>;

export interface ClientsOptions {
  /** Addresses of clients that may use the proxy. Absent: all. */
  readonly allow?: readonly string[] | undefined;
  /** Users that clients authenticate as. Absent: clients do not have to authenticate. */
  readonly users?: UsersOptions | undefined;
  /** Loopback listeners serve only processes of the user that runs the proxy. Absent: see its description. */
  readonly sameUser?: boolean | undefined;
}
export interface ClientsInput extends Omit<ClientsOptions, 'allow'> {
  readonly allow?: OneOrList<string> | undefined;
}

/** `clients` of the configuration. */
export const clientsSchema: z.ZodType<ClientsOptions, ClientsInput> = z.strictObject({
  allow: listOrOne(addressBlock, 'is empty: no client could use the proxy; leave it out')
    .optional()
    .describe('Addresses and blocks that may use the proxy; for Unix sockets the file mode decides. Default: all.'),
  sameUser: z
    .boolean()
    .optional()
    .describe(
      'Listeners on loopback serve only processes of the user that runs the proxy, so that other users of this machine cannot use ' +
        'its logins. On Linux and Windows; the system is asked for each connection whose it is. Default: on where `credentials` names ' +
        'accounts and other people can log in to this machine; on Windows off.',
    ),
  users: z
    .union([
      z.string().min(1, 'write the path of an htpasswd file'),
      z
        .record(z.string(), z.string())
        .refine(
          (users) => Object.keys(users).length > 0,
          'has no user; leave it out if clients do not have to authenticate',
        ),
    ])
    .optional()
    .describe(
      'Users that clients authenticate as: the path of a file, or hashes by name. Lines of htpasswd (`name:hash`, bcrypt, SHA or apr1) ' +
        'serve Basic and SOCKS5. Lines of htdigest (`name:realm:MD5`) and of `viaduct hash --realm NAME` (also SHA-256) serve Digest ' +
        'too; a user may have one of each kind. Java refuses Basic for tunnels, which `https:` needs, and takes Digest.',
    ),
});
