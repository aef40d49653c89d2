/** Flags that px, cntlm and alpaca have and this program has not: what to write instead. */
interface ForeignFlag {
  readonly of: 'px' | 'cntlm' | 'alpaca';
  readonly instead: string;
}

const ACCOUNT = 'viaduct login --domain DOMAIN --user USER keeps the password, or --domain and --user ask for it';
const GATEWAY = '--listen 0.0.0.0 with --allow LIST';
const SERVICE = 'a service manager starts and stops viaduct run';
const FOREGROUND = 'nothing is needed: viaduct run stays in the foreground';

const px = (instead: string): ForeignFlag => ({ of: 'px', instead });
const cntlm = (instead: string): ForeignFlag => ({ of: 'cntlm', instead });

/** Long names without their dashes; a short one is one letter. */
export const FOREIGN: Readonly<Record<string, ForeignFlag>> = {
  server: px('--proxy URL'),
  gateway: px(GATEWAY),
  hostonly: px('--listen ADDRESS of the bridge, with --allow LIST'),
  username: px('--user USER, and --domain DOMAIN'),
  password: px(ACCOUNT),
  pac_encoding: px('nothing is needed: the file and its server say the encoding'),
  useragent: px('nothing: the User-Agent of the client is passed on'),
  'client-auth': px('--auth FILE_OR_USER:PASS'),
  'client-username': px('--auth FILE_OR_USER:PASS'),
  'client-password': px('--auth FILE_OR_USER:PASS'),
  'client-nosspi': px('nothing is needed: clients are asked for Basic alone'),
  socktimeout: px('--timeout SECONDS'),
  proxyreload: px('nothing is needed: the PAC is fetched again as its server says, and when the network changes'),
  foreground: px(FOREGROUND),
  debug: px('--verbose'),
  uniqlog: px('--log-file PATH'),
  test: px('viaduct explain URL'),
  install: px(SERVICE),
  uninstall: px(SERVICE),
  quit: px('a signal (SIGTERM) ends viaduct run'),
  restart: px('a signal (SIGHUP) reads the configuration again'),
  save: px('viaduct import px.ini prints a configuration'),
  kerberos: px('nothing is needed: Kerberos tickets are used where there are any; --no-kerberos stops that'),
  g: cntlm(GATEWAY),
  A: cntlm('--allow LIST'),
  D: cntlm('--allow LIST, which names all that may connect'),
  a: cntlm('upstreams: [{ host: HOST, auth: [ntlm] }] in a configuration'),
  B: cntlm('nothing is needed: an origin is asked for its own login'),
  F: cntlm('nothing is needed: the NTLM flags follow the proxy'),
  f: cntlm(FOREGROUND),
  G: cntlm('nothing is needed: answers are not scanned'),
  I: cntlm('viaduct login, or --user, which asks for the password at a terminal'),
  L: cntlm('nothing yet: connect through the proxy with CONNECT, for example by ssh -o ProxyCommand or socat'),
  M: cntlm('viaduct explain URL --through http://PROXY'),
  N: cntlm('--noproxy LIST'),
  O: cntlm('nothing yet: clients speak HTTP to this proxy'),
  P: cntlm(SERVICE),
  r: cntlm('nothing: the fields of the client are passed on'),
  R: cntlm(SERVICE),
  s: cntlm('nothing is needed: connections are served side by side'),
  S: cntlm('nothing is needed: answers are not scanned'),
  T: cntlm('--verbose, and viaduct explain URL'),
  U: cntlm(SERVICE),
  w: cntlm('nothing is needed: the name of this machine is sent'),
  X: cntlm('nothing is needed: Kerberos tickets are used where there are any'),
  'proxy-auth-allowlist': { of: 'alpaca', instead: '--credentials-for LIST' },
  'auth-allowlist': { of: 'alpaca', instead: '--credentials-for LIST' },
};

/** What to write instead of a flag of another program; `undefined` where it is known from none. */
export function foreignHint(flag: string): string | undefined {
  const name = flag.replace(/^-+/, '');
  const known = Object.hasOwn(FOREIGN, name) ? FOREIGN[name] : undefined;
  return known && `${known.of} has it; here ${known.instead}`;
}
