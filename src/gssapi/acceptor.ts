import { MECH_KERBEROS, MECH_KERBEROS_MS, readNegotiateToken } from '../protocol/spnego.ts';
import type { Clock } from '../util/clock.ts';
import { CallSlots } from './call-slots.ts';
import { openGssLibrary } from './gss-library.ts';
import { isDone, isFailure } from './gss-reasons.ts';

/** `refused`: one clause for the log. `full`: too many tickets wait to be checked. */
export type AcceptedTicket = { readonly client: string } | { readonly refused: string } | { readonly full: true };

/** The service side of Kerberos: whose ticket a token of `Negotiate` holds. */
export interface KerberosAcceptor {
  /** `keytab` is the path of the file with our keys; it is read each time, so that a new one needs no restart. */
  accept(keytab: string, token: Buffer): Promise<AcceptedTicket>;
}

export interface AcceptorDeps {
  readonly clock: Clock;
  readonly platform: NodeJS.Platform;
  readonly open?: typeof openGssLibrary;
}

/** By the system's GSS-API, which is loaded when the first token comes. SPNEGO around it is read here, as for our own tickets. */
export function systemAcceptor({ clock, platform, open = openGssLibrary }: AcceptorDeps): KerberosAcceptor {
  const slots = new CallSlots(clock);
  let opening: ReturnType<typeof openGssLibrary> | undefined;
  return {
    async accept(keytab, token) {
      const ticket = ticketIn(token);
      if (typeof ticket === 'string') return { refused: ticket };
      opening ??= open(platform);
      const gss = await opening;
      if ('unavailable' in gss) return { refused: gss.unavailable };
      const check = async (): Promise<AcceptedTicket> => {
        const acquired = await gss.acquireFrom(keytab);
        if (acquired === undefined) return { refused: 'the Kerberos library of this system can name no keytab' };
        if (isFailure(acquired)) return { refused: `the keytab cannot be used: ${gss.textOf(acquired.minor)}` };
        try {
          const accepted = await gss.accept({ credential: acquired.credential, token: ticket });
          if (isFailure(accepted)) return { refused: `Kerberos says: ${gss.textOf(accepted.minor)}` };
          // One message is all that Kerberos needs; another round would have to belong to a connection.
          const { client } = accepted;
          return isDone(accepted) && client !== undefined ? { client } : { refused: 'the ticket needs another round' };
        } finally {
          gss.releaseCredential(acquired.credential);
        }
      };
      const result = await slots.run(check, () => undefined);
      if (typeof result !== 'string') return result;
      return result === 'full' ? { full: true } : { refused: 'the Kerberos library does not answer' };
    },
  };
}

/** The part of a token that is for Kerberos, or why there is none. */
function ticketIn(token: Buffer): Buffer | string {
  const parsed = readNegotiateToken(token);
  switch (parsed?.kind) {
    case 'ntlm':
      return 'the client sends NTLM instead of a Kerberos ticket';
    case 'mechanism':
      return isKerberos(parsed.mech) ? token : `the client uses ${parsed.mech}, not Kerberos`;
    case 'init': {
      const [first = ''] = parsed.mechTypes;
      // The token that comes along is for the mechanism that stands first.
      if (!isKerberos(first)) return 'the client prefers another mechanism than Kerberos';
      return parsed.mechToken ?? 'the client sends no Kerberos ticket';
    }
    default:
      return 'not a token of Negotiate';
  }
}

const isKerberos = (mech: string): boolean => mech === MECH_KERBEROS || mech === MECH_KERBEROS_MS;
