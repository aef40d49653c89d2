import type { Clock } from '../../core/clock.ts';
import type {
  Credential,
  CredentialBook,
  DialScope,
  OwnAccount,
  OwnAccounts,
  UpstreamAccount,
} from '../../core/contracts.ts';
import { ProxyError } from '../../core/failure.ts';
import type { Hop } from '../../core/stages.ts';
import { accountName } from './basic.ts';
import type { Ticketing } from './gssapi.ts';
import { Introduction, type IntroductionParts } from './introduction.ts';
import { type AuthMemory, logsOnConnections } from './memory.ts';

export interface UpstreamAuthOptions {
  readonly book: CredentialBook;
  readonly memory: AuthMemory;
  /** `undefined`: no Kerberos here. */
  readonly tickets: Ticketing | undefined;
  /** Name of this machine for NTLM; may be empty. */
  readonly workstation: string;
  readonly clock: Clock;
}

/** Who we are at upstream proxies, and how they are told. */
export class UpstreamAuth implements OwnAccounts {
  readonly #options: UpstreamAuthOptions;

  constructor(options: UpstreamAuthOptions) {
    this.#options = options;
  }

  /** What one request has to do with one proxy. */
  async visit(hop: Hop): Promise<Visit> {
    const { book, memory, tickets, workstation, clock } = this.#options;
    const account = await accountAt(book, hop);
    const id = idOf(account);
    const logonsOf: IntroductionParts['logonsOf'] = (credential) => memory.logons(hop, credential);
    return new Visit(id, { hop, account, memory: memory.of(hop, id), logonsOf, tickets, workstation, clock });
  }

  async ownAccountAt(hop: Hop): Promise<OwnAccount> {
    const { book, memory, tickets } = this.#options;
    const account = await accountAt(book, hop);
    if (account instanceof ProxyError) return { at: 'failed', why: account.told ?? account.detail };
    if (account.at === 'withheld') return account;
    const { credential, basic, schemes } = account;
    return {
      at: 'known',
      user: credential && nameOf(credential).user,
      source: credential?.source,
      schemes,
      basic: basic && nameOf(basic),
      isRejected: credential !== undefined && memory.logons(hop, credential).isRejected,
      ticketsUntil: schemes.includes('negotiate') ? await tickets?.ticketExpiry() : undefined,
    };
  }
}

const nameOf = (credential: Credential): { readonly user: string; readonly source: string } => ({
  user: accountName(credential),
  source: credential.source,
});

/** As whom a request comes to a proxy. */
export class Visit {
  /** Tells accounts apart, and nothing about them: connections are pooled by it. */
  readonly id: string;
  readonly #parts: IntroductionParts;

  constructor(id: string, parts: IntroductionParts) {
    this.id = id;
    this.#parts = parts;
  }

  /** Whether the proxy logs on connections: then a request looks for one that is. */
  get wantsBound(): boolean {
    const { memory } = this.#parts;
    return memory.way !== undefined && logsOnConnections(memory.way, memory);
  }

  /** By which method it is asked about us where nothing may happen. */
  get probe(): 'TRACE' | 'HEAD' {
    return this.#parts.memory.probe;
  }

  /** The proxy did not answer a TRACE as it answers everything. */
  hasNoTrace(): void {
    this.#parts.memory.probe = 'HEAD';
  }

  get asks(): 'unknown' | 'no' | 'yes' {
    return this.#parts.memory.asks;
  }

  introduce(within: Pick<DialScope, 'signal' | 'observe'>, standing: 'free' | 'bound'): Introduction {
    return new Introduction(this.#parts, within, standing);
  }
}

async function accountAt(book: CredentialBook, hop: Hop): Promise<UpstreamAccount | ProxyError> {
  try {
    return await book.accountAt(hop);
  } catch (error) {
    if (error instanceof ProxyError) return error;
    throw error;
  }
}

function idOf(account: UpstreamAccount | ProxyError): string {
  if (account instanceof ProxyError || account.at === 'withheld') return '-';
  return [account.credential?.id, account.basic?.id, account.schemes.join()].map((part) => part ?? '-').join(' ');
}
