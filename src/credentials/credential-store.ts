import { type Account, accountLabel } from '../contracts/account.ts';
import { ProxyError } from '../contracts/failure.ts';
import { AUTH_SCHEMES, type AuthSchemeName, type LoginTerms } from '../contracts/login-terms.ts';
import type { Secret } from '../contracts/secret.ts';
import type { Hop } from '../contracts/stages.ts';
import type { Credential, CredentialStore } from '../contracts/upstream-account.ts';
import { HostIndex, hostQuery } from '../protocol/matching/host-index.ts';
import { accountOf } from './account.ts';
import { AccountSecret, type SecretDeps } from './account-secret.ts';
import { definedTerms, whenBasicIsSent } from './basic-sending.ts';
import { credentialMaker, type FoundSecret } from './credential.ts';
import { alpacaAllowlist, basicCredentials, ntlmAccount, ntlmCredentials } from './environment.ts';
import { LoginWatch } from './login-watch.ts';
import { type CredentialsOptions, DEFAULT_ACCOUNT, type SecretOrigin } from './options.ts';
import { trustRule } from './trust.ts';
import { secretInUrl } from './url-credentials.ts';

/** The account and the authentication of an entry of `upstreams`. */
export interface UpstreamAccountOptions {
  /** A pattern of settings/host-setting.ts. */
  readonly host: string;
  /** Name of an account. Absent: the default one. */
  readonly credentials?: string | undefined;
  readonly auth?: LoginTerms | undefined;
}

export interface CredentialStoreOptions extends CredentialsOptions {
  /** The first entry whose host matches holds. */
  readonly upstreams: readonly UpstreamAccountOptions[];
}

export interface CredentialStoreDeps extends Omit<SecretDeps, 'logins'> {
  /** Default: that of this process. On Windows the system logs in as the user (upstream-auth/sspi/). */
  readonly platform?: NodeJS.Platform;
  /** Made by `loginFile()`; `undefined`: `viaduct login` has no effect on this process. */
  readonly loginFile: string | undefined;
  /** The user who runs this program: the user of an account that names none. */
  readonly loginName: string;
  /**
   * What was typed at start, by `accountLabel`: after a reload that gives the account of the same name another user, the
   * password of the first must not be sent for the second.
   */
  readonly prompted: ReadonlyMap<string, Secret>;
  /** Key of the ids that the store makes. Default: a random one, so that the ids of each store are its own. */
  readonly idKey?: (() => Buffer) | undefined;
}

/**
 * The account for each upstream proxy. In order: the login in its URL, the account that its entry of `upstreams` names,
 * the default account: `credentials.default` (`-u`, `-d`), `NTLM_CREDENTIALS`, `NTLM_USERNAME` with an entry of the
 * keyring, the account of the last `viaduct login`. `BASIC_CREDENTIALS` is used beside the default account, in Basic alone.
 * With the same key ids stay what they were, and so does what is latched under them.
 */
export function credentialStore(options: CredentialStoreOptions, deps: CredentialStoreDeps): CredentialStore {
  const { environment, prompted, platform = process.platform } = deps;
  const logins = new LoginWatch(deps.loginFile, deps.clock);
  const make = credentialMaker(deps.idKey?.());
  const withheld = trustRule({ allow: options.allow, alpaca: alpacaAllowlist(environment) });
  const upstreamOf = upstreamFinder(options.upstreams);

  const secretOf = (account: Account, from: SecretOrigin | undefined, name?: string) =>
    new AccountSecret(
      { account, from, prompted: name === undefined ? undefined : prompted.get(accountLabel(account)) },
      { ...deps, logins },
    );
  const named = new Map(
    Object.entries(options.accounts).map(([name, account]) => [
      name,
      secretOf(accountOf(account, deps.loginName), account.from, name),
    ]),
  );

  const fixedDefault = named.get(DEFAULT_ACCOUNT) ?? accountOfEnvironment();
  let loggedIn: AccountSecret | undefined;
  const basicFound = basicCredentials(environment);
  const basic = basicFound && make({ ...basicFound, source: 'BASIC_CREDENTIALS', loginMs: 0 } satisfies FoundSecret);

  function accountOfEnvironment(): AccountSecret | undefined {
    const whole = ntlmCredentials(environment);
    if (whole !== undefined) return secretOf(whole.account, undefined);
    const account = ntlmAccount(environment);
    return account && secretOf(account, { kind: 'keyring' });
  }

  async function defaultAccount(): Promise<AccountSecret | undefined> {
    if (fixedDefault !== undefined) return fixedDefault;
    const { account } = await logins.current();
    if (account === undefined) return undefined;
    if (loggedIn === undefined || accountLabel(loggedIn.account) !== accountLabel(account)) {
      loggedIn = secretOf(account, { kind: 'keyring' });
    }
    return loggedIn;
  }

  const secretIn = async (account: AccountSecret | undefined): Promise<FoundCredential> => {
    const found = await account?.current();
    return found === undefined ? { credential: undefined, missing: account?.missing } : { credential: make(found) };
  };

  return {
    async accountAt(hop: Hop) {
      const clientDetail = withheld(hop);
      if (clientDetail !== undefined) return { at: 'withheld', clientDetail };
      const upstream = upstreamOf(hop.proxy.host);
      const terms = { ...definedTerms(upstream?.auth), ...definedTerms(hop.auth) };
      const order = (terms.schemes ?? AUTH_SCHEMES).filter((scheme) => options.kerberos || scheme !== 'negotiate');
      const known = ({ credential, missing }: FoundCredential, inBasic?: Credential) => ({
        at: 'known' as const,
        schemes: order.filter(
          (scheme) => serves(scheme, credential, platform) || (scheme === 'basic' && inBasic !== undefined),
        ),
        credential,
        missing,
        ...(inBasic === undefined ? {} : { basic: inBasic }),
        sendsBasic: whenBasicIsSent(terms, hop),
        ...(terms.latch === false && { afterRejection: 'tried-again' as const }),
      });
      if (hop.login !== undefined) return known({ credential: make(secretInUrl(hop.login)) });
      if (upstream?.credentials !== undefined) {
        const account = named.get(upstream.credentials);
        if (account === undefined) throw new ProxyError('internal', `there is no account ${upstream.credentials}`);
        return known(await secretIn(account));
      }
      return known(await secretIn(await defaultAccount()), basic);
    },
  };
}

interface FoundCredential {
  readonly credential: Credential | undefined;
  /** Why an account has none. */
  readonly missing?: string | undefined;
}

/** A Kerberos ticket needs no configured account, nor does NTLM on Windows; a hash is enough for NTLM alone. */
function serves(scheme: AuthSchemeName, credential: Credential | undefined, platform: NodeJS.Platform): boolean {
  switch (scheme) {
    case 'negotiate':
      return true;
    case 'ntlm':
      return credential !== undefined || platform === 'win32';
    case 'digest':
    case 'basic':
      return credential?.secret.kind === 'password';
  }
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
