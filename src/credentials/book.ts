import { AUTH_SCHEMES, type AuthSchemeName, type Credential, type CredentialBook } from '../core/contracts.ts';
import { ProxyError } from '../core/failure.ts';
import type { Secret } from '../core/secret.ts';
import type { Hop, Login } from '../core/stages.ts';
import { HostIndex, hostQuery } from '../protocol/host-index.ts';
import { type Account, accountLabel, accountOf } from './account.ts';
import { AccountSecret, type SecretParts } from './account-secret.ts';
import { credentialMaker, type Found } from './credential.ts';
import { alpacaAllowlist, basicCredentials, ntlmAccount, ntlmCredentials } from './environment.ts';
import { LoginWatch } from './login-watch.ts';
import { type CredentialsOptions, DEFAULT_ACCOUNT, type SecretOrigin } from './options.ts';
import { trustRule } from './trust.ts';

/** What an entry of `upstreams` says about who we are there. */
export interface UpstreamAccountOptions {
  /** A pattern of core/host-setting.ts. */
  readonly host: string;
  /** Name of an account. Absent: the default one. */
  readonly credentials?: string | undefined;
  /** Schemes that may be used, the preferred one first. */
  readonly auth?: readonly AuthSchemeName[] | undefined;
}

export interface BookOptions extends CredentialsOptions {
  /** The first entry whose host matches holds. */
  readonly upstreams: readonly UpstreamAccountOptions[];
}

export interface BookParts extends Omit<SecretParts, 'logins'> {
  /** Made by `loginFile()`; `undefined`: nobody can log in while the proxy runs. */
  readonly loginFile: string | undefined;
  /** Who runs this program: an account without a user is theirs. */
  readonly loginName: string;
  /** What was typed at start, by name of account. */
  readonly prompted: ReadonlyMap<string, Secret>;
  /** Key of the ids that the next book makes. Default: a random one; processes of one proxy have the same. */
  readonly idKey?: (() => Buffer) | undefined;
}

/**
 * Who we are at which upstream proxy. In order: the login in its URL, the account that its entry of `upstreams` names,
 * the default account: `credentials.default` (`-u`, `-d`), `NTLM_CREDENTIALS`, `NTLM_USERNAME` with an entry of the
 * keyring, whoever used `viaduct login`. `BASIC_CREDENTIALS` speaks beside the default account, and in Basic alone.
 * Each book makes ids of its own, so that a reload lifts what is latched under the ids of the one before.
 */
export function credentialBook(options: BookOptions, parts: BookParts): CredentialBook {
  const { environment, prompted } = parts;
  const logins = new LoginWatch(parts.loginFile, parts.clock);
  const make = credentialMaker(parts.idKey?.());
  const withheld = trustRule({ allow: options.allow, alpaca: alpacaAllowlist(environment) });
  const upstreamOf = upstreamFinder(options.upstreams);

  const secretOf = (account: Account, from: SecretOrigin | undefined, name?: string) =>
    new AccountSecret(
      { account, from, prompted: name === undefined ? undefined : prompted.get(name) },
      { ...parts, logins },
    );
  const named = new Map(
    Object.entries(options.accounts).map(([name, account]) => [
      name,
      secretOf(accountOf(account, parts.loginName), account.from, name),
    ]),
  );

  const usual = named.get(DEFAULT_ACCOUNT) ?? accountOfEnvironment();
  let loggedIn: AccountSecret | undefined;
  const basicFound = basicCredentials(environment);
  const basic = basicFound && make({ ...basicFound, source: 'BASIC_CREDENTIALS', toldMs: 0 } satisfies Found);

  function accountOfEnvironment(): AccountSecret | undefined {
    const whole = ntlmCredentials(environment);
    if (whole !== undefined) return secretOf(whole.account, undefined);
    const account = ntlmAccount(environment);
    return account && secretOf(account, { kind: 'keyring' });
  }

  async function usualAccount(): Promise<AccountSecret | undefined> {
    if (usual !== undefined) return usual;
    const { account } = await logins.current();
    if (account === undefined) return undefined;
    if (loggedIn === undefined || accountLabel(loggedIn.account) !== accountLabel(account)) {
      loggedIn = secretOf(account, { kind: 'keyring' });
    }
    return loggedIn;
  }

  const credentialIn = async (account: AccountSecret | undefined): Promise<Credential | undefined> => {
    const found = await account?.current();
    return found && make(found);
  };

  return {
    async accountAt(hop: Hop) {
      const told = withheld(hop);
      if (told !== undefined) return { at: 'withheld', told };
      const upstream = upstreamOf(hop.proxy.host);
      const order = (upstream?.auth ?? AUTH_SCHEMES).filter((scheme) => options.kerberos || scheme !== 'negotiate');
      const known = (credential: Credential | undefined, inBasic?: Credential) => ({
        at: 'known' as const,
        schemes: order.filter((scheme) => serves(scheme, credential) || (scheme === 'basic' && inBasic !== undefined)),
        credential,
        ...(inBasic === undefined ? {} : { basic: inBasic }),
      });
      if (hop.login !== undefined) return known(make(ofUrl(hop.login)));
      if (upstream?.credentials !== undefined) {
        const account = named.get(upstream.credentials);
        if (account === undefined) throw new ProxyError('internal', `there is no account ${upstream.credentials}`);
        return known(await credentialIn(account));
      }
      return known(await credentialIn(await usualAccount()), basic);
    },
  };
}

/** A Kerberos ticket needs no account of ours; a hash is enough for NTLM alone. */
function serves(scheme: AuthSchemeName, credential: Credential | undefined): boolean {
  switch (scheme) {
    case 'negotiate':
      return true;
    case 'ntlm':
      return credential !== undefined;
    case 'digest':
    case 'basic':
      return credential?.secret.kind === 'password';
  }
}

function ofUrl({ user, password }: Login): Found {
  return {
    account: accountOf({ user }, user),
    secret: { kind: 'password', password },
    source: 'URL of the proxy',
    toldMs: 0,
  };
}

/** Which entry holds for a proxy's host: the first that matches. */
export function upstreamFinder(
  upstreams: readonly UpstreamAccountOptions[],
): (host: string) => UpstreamAccountOptions | undefined {
  const index = new HostIndex();
  for (const [at, { host }] of upstreams.entries()) index.add(host, at, 'written');
  return (host) => {
    const first = Math.min(...index.find(hostQuery(host)).flatMap((found) => found.slice(0, 1)));
    return upstreams[first];
  };
}
