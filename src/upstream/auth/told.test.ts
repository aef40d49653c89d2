import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Secret } from '../../core/secret.ts';
import { parseProxyUrl } from '../../protocol/proxy-url.ts';
import { rejectedSentence } from './told.ts';

const MENDINGS = [
  ['file:pw', 'write the new one into the file'],
  ['env:PROXY_PASSWORD', 'start viaduct with the new one'],
  ['BASIC_CREDENTIALS', 'start viaduct with the new one'],
  ['keyring', 'use viaduct login'],
  ['keyring (alpaca)', 'use viaduct login'],
  ['NTLM_CREDENTIALS', 'use viaduct login, or start viaduct with the new one'],
  ['prompt', 'use viaduct login, or start viaduct with the new one'],
  ['URL of the proxy', 'write the new one into the URL of the proxy, or use viaduct login without it there'],
] as const;

for (const [source, mending] of MENDINGS) {
  test(`a rejected password from ${source} is mended where it is read`, () => {
    const password = new Secret('hünter2');
    const credential = { user: 'me', domain: 'CORP', secret: { kind: 'password', password }, source, id: 'x' } as const;
    assert.equal(
      rejectedSentence(parseProxyUrl('http://p.example:8080', 'user'), credential),
      `http://p.example:8080 has rejected the password of CORP\\me (${source}). So that the account is not locked, it is not sent there again until it changes: ${mending}.`,
    );
  });
}
