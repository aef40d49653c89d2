/** How Windows logs in at upstream proxies, as far as Wine carries it. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { ACCOUNTS } from '../lab/accounts.ts';
import { REALM, startKdc } from '../lab/kdc.ts';
import { noLab, privately } from '../lab/private.ts';
import { LabOrigin } from '../lab/through-upstream.ts';
import { startNegotiateUpstream, startNtlmUpstream, startSpnegoNtlmUpstream } from '../lab/upstream-proxies.ts';
import { NTLM_DOMAIN, startWinbind, type Winbind } from '../lab/winbind.ts';
import { bindingTo, channelBindingIn } from '../support/channel-binding.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { ask, noWine, portOf, QUIET, Wine, windowsPath } from './wine.ts';

const skip = noWine() || noLab();
const stack = new AsyncDisposableStack();
const folder = stack.use(temporaryFolder());
/**
 * A Windows whose user is alice, and whose NTLM finds the accounts of the lab: Wine has Samba's ntlm_auth make the tokens, which asks
 * winbindd for credentials of this user.
 */
let startingInLab: Promise<Wine> | undefined;
const windowsInLab = async (): Promise<Wine> => {
  const { winbind } = await lab();
  const passwd = join(folder.path, 'passwd');
  const others = readFileSync('/etc/passwd', 'utf8').replace(/^root:/m, `${ACCOUNTS.alice.user}:`);
  writeFileSync(passwd, others);
  startingInLab ??= Wine.start({ samba: winbind.samba, etc: { passwd, 'samba/smb.conf': winbind.configuration } }).then(
    (wine) => stack.use(wine),
  );
  return startingInLab;
};
after(() => stack.disposeAsync());

interface Lab {
  readonly origin: LabOrigin;
  readonly winbind: Winbind;
}
let startingLab: Promise<Lab> | undefined;
const lab = (): Promise<Lab> => {
  startingLab ??= Promise.all([LabOrigin.listen(), startWinbind({ workgroup: NTLM_DOMAIN })]).then(
    ([origin, winbind]) => ({ origin: stack.use(origin), winbind: stack.use(winbind) }),
  );
  return startingLab;
};

/** Through an upstream proxy, as an account. */
async function through(upstream: string, more: object, environment: Record<string, string> = {}): Promise<string> {
  const wine = await windowsInLab();
  const config = join(wine.folder, `through-${upstream.replace(/\W/g, '-')}.json`);
  writeFileSync(config, JSON.stringify({ routes: { proxy: [upstream] }, ...more }));
  const program = wine.viaduct([...QUIET, '--config', windowsPath(config)], environment);
  return portOf(program);
}

test('Windows logs in with an account, by NTLM in Negotiate', { skip, timeout: 180_000 }, async () => {
  const { user, password } = ACCOUNTS.alice;
  const { origin, winbind } = await lab();
  await using upstream = await startSpnegoNtlmUpstream(winbind);
  const credentials = { corp: { user, domain: winbind.domain, from: 'env:LAB_PASSWORD' } };
  const url = `http://localhost:${upstream.port}`;
  const upstreams = [{ host: 'localhost', credentials: 'corp', auth: ['negotiate'] }];
  const port = await through(url, { credentials, upstreams }, { LAB_PASSWORD: password });
  assert.equal(await ask(port, `http://${origin.authority}/`), 'reached 200');
  const logged = await upstream.log.until((all) => all.some(({ status }) => status === 200));
  // Our own NTLM would begin with SPNEGO here; Wine's has none around it.
  const tokens = logged.flatMap(({ credentials: sent }) => sent ?? []);
  assert.match(tokens[0] ?? '', /^Negotiate TlRMTVNTUAAB/);
});

/** Winbindd keeps the login of alice, as that of a user who has logged in to the machine. */
function cacheLogin({ domain, samba }: Winbind): void {
  const { user, password } = ACCOUNTS.alice;
  const [program = '', ...words] = privately(['wbinfo', `--ccache-save=${domain}\\${user}%${password}`], { samba });
  execFileSync(program, words);
}

test('without an account it logs in as the user of Windows, with no password typed', {
  skip,
  timeout: 180_000,
}, async () => {
  const { origin, winbind } = await lab();
  cacheLogin(winbind);
  await using upstream = await startNtlmUpstream(winbind);
  const port = await through(`http://localhost:${upstream.port}`, {});
  assert.equal(await ask(port, `http://${origin.authority}/`), 'reached 200');
});

test('a password of the Credential Manager logs in at an upstream proxy with NTLM', {
  skip,
  timeout: 180_000,
}, async () => {
  const { user, password } = ACCOUNTS.alice;
  const { origin, winbind } = await lab();
  const wine = await windowsInLab();
  await using upstream = await startNtlmUpstream(winbind);
  const url = `http://localhost:${upstream.port}`;
  const credentials = { corp: { user, domain: winbind.domain, from: 'keyring' } };
  const upstreams = [{ host: 'localhost', credentials: 'corp', auth: ['ntlm'] }];
  const config = join(wine.folder, 'keyring-login.json');
  writeFileSync(config, JSON.stringify({ routes: { proxy: [url] }, credentials, upstreams }));
  const login = await wine.viaduct(['login', 'corp', '--config', windowsPath(config)], {}, `${password}\n`).ended;
  assert.equal(login.code, 0, login.err);
  assert.match(login.err, /accepts it$/m);
  const port = await through(url, { credentials, upstreams });
  assert.equal(await ask(port, `http://${origin.authority}/`), 'reached 200');
});

const isKerberos = (credentials: string | undefined): boolean =>
  Buffer.from(credentials?.split(' ')[1] ?? '', 'base64').includes(Buffer.from('2a864886f712010202', 'hex'));

test('Windows logs in by Kerberos over TLS, with tickets of its user or with an account', {
  skip,
  timeout: 180_000,
}, async () => {
  const { user, password } = ACCOUNTS.alice;
  const { origin } = await lab();
  await using kdc = await startKdc();
  await using upstream = await startNegotiateUpstream(kdc);
  const upstreams = [{ host: 'localhost', ca: windowsPath(upstream.ca) }];
  const account = { credentials: { default: { user, domain: REALM, from: 'env:LAB_PASSWORD' } } };
  for (const [more, environment] of [
    [{}, kdc.good],
    [account, { ...kdc.none, LAB_PASSWORD: password }],
  ] as const) {
    upstream.log.forget();
    const port = await through(upstream.tlsUrl, { upstreams, ...more }, environment);
    assert.equal(await ask(port, `http://${origin.authority}/`), 'reached 200');
    const logged = await upstream.log.until((all) => all.some(({ status }) => status === 200));
    const proofs = logged.flatMap(({ credentials }) => credentials ?? []);
    assert.deepEqual(proofs.map(isKerberos), [true]);
  }
});

test('over TLS it logs in by NTLM as its user, and an account is tied to the certificate of the upstream proxy', {
  skip,
  timeout: 180_000,
}, async () => {
  const { user, password } = ACCOUNTS.alice;
  const { origin, winbind } = await lab();
  await using upstream = await startNtlmUpstream(winbind);
  const upstreams = [{ host: 'localhost', auth: ['ntlm'], ca: windowsPath(upstream.ca) }];
  cacheLogin(winbind);
  const own = await through(upstream.tlsUrl, { upstreams });
  assert.equal(await ask(own, `http://${origin.authority}/`), 'reached 200');
  await upstream.log.until((all) => all.some(({ status }) => status === 200));
  upstream.log.forget();
  const credentials = { default: { user, domain: winbind.domain, from: 'env:LAB_PASSWORD' } };
  const port = await through(upstream.tlsUrl, { upstreams, credentials }, { LAB_PASSWORD: password });
  assert.equal(await ask(port, `http://${origin.authority}/`), 'reached 200');
  const logged = await upstream.log.until((all) => all.some(({ status }) => status === 200));
  const proof = logged.map((one) => channelBindingIn(one.credentials)).find((one) => one !== undefined);
  assert.equal(proof, bindingTo(new X509Certificate(readFileSync(upstream.ca))));
});
