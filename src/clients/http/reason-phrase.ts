import { FAILURES, type FailureCode, type ProxyError } from '../../contracts/failure.ts';
import type { Authority } from '../../contracts/request.ts';
import { formatAuthority } from '../../protocol/addresses/authority.ts';

/** Clients print it in one line of an error, behind words of their own. */
const PHRASE_BYTES_MAX = 120;
/** Of a long name both ends are shown: the first tells which host it is, the last in whose domain. */
const HOST_CHARACTERS_MAX = 60;

/** What became of the requested host. All other failures have the sentence of their page. */
const WORDS: Partial<Record<FailureCode, (host: string, authority: string) => string>> = {
  denied: (_host, authority) => `a rule of this proxy does not allow ${authority}`,
  address_prohibited: (host) => `this proxy does not connect to the address of ${host}`,
  no_route: (host) => `there is no route to ${host}`,
  dns_failed: (host) => `${host} does not exist`,
  dns_timeout: (host) => `${host} was not resolved in time`,
  host_unreachable: (host) => `there is no route to ${host} from here`,
  connection_refused: (_host, authority) => `${authority} refused the connection`,
  connect_failed: (_host, authority) => `the connection to ${authority} could not be opened`,
  connect_timeout: (_host, authority) => `${authority} did not accept the connection in time`,
  upstream_refused: (_host, authority) => `the upstream proxy refused to connect to ${authority}`,
  upstream_failed: (_host, authority) => `the upstream proxy could not reach ${authority}`,
  upstream_timeout: (_host, authority) => `the upstream proxy did not respond in time about ${authority}`,
  loop_detected: (_host, authority) => `the request for ${authority} would come back to this proxy`,
};

/**
 * The reason phrase of a refused CONNECT. Many clients show nothing else of the response: Go, Java, wget, Python. Only what
 * the client has sent itself and our own words go there: no address that a name has, nothing of a PAC, and no name of an
 * upstream proxy, since a stranger may be asking.
 */
export function reasonPhrase(error: ProxyError, { host, port }: Authority): string {
  const short = shortHost(host);
  const words = error.clientMessage === undefined ? WORDS[error.code] : undefined;
  const phrase =
    words === undefined
      ? `${short}: ${inALine(error.clientMessage ?? FAILURES[error.code].clientMessage)}`
      : words(short, formatAuthority({ host: short, port }));
  const isLater = error.code === 'dns_failed' && words !== undefined && mayExist(error.cause);
  return printable(`${error.code}: ${isLater ? `${short} cannot be resolved now` : phrase}`);
}

const shortHost = (host: string): string =>
  host.length <= HOST_CHARACTERS_MAX ? host : `${host.slice(0, HOST_CHARACTERS_MAX - 20)}...${host.slice(-17)}`;

const inALine = (sentence: string): string => sentence.charAt(0).toLowerCase() + sentence.slice(1).replace(/\.$/, '');

/** The name servers did not respond; the name may well exist. */
const mayExist = (cause: unknown): boolean =>
  cause instanceof Error && 'code' in cause && (cause.code === 'EAI_AGAIN' || cause.code === 'EAI_FAIL');

/** Of the field-content of a reason phrase (RFC 9112 §4) only what shows the same everywhere. */
const printable = (text: string): string => text.replace(/[^\x20-\x7e]/g, '?').slice(0, PHRASE_BYTES_MAX);
