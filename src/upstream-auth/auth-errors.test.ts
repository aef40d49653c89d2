import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Secret } from '../contracts/secret.ts';
import { parseProxyUrl } from '../protocol/routes/proxy-url.ts';
import { rejectedMessage } from './auth-errors.ts';

const REMEDIES = [
  ['file:pw', 'write the new one into the file'],
  ['env:PROXY_PASSWORD', 'start viaduct with the new one'],
  ['BASIC_CREDENTIALS', 'start viaduct with the new one'],
  ['keyring', 'use viaduct login'],
  ['keyring (alpaca)', 'use viaduct login'],
  ['NTLM_CREDENTIALS', 'use viaduct login, or start viaduct with the new one'],
  ['prompt', 'use viaduct login, or start viaduct with the new one'],
  ['URL of the proxy', 'write the new one into the URL of the proxy, or use viaduct login without it there'],
] as const;

for (const [source, remedy] of REMEDIES) {
  test(`a rejected password from ${source} is to be changed where it is read`, () => {
    const password = new Secret('hünter2');
    const credential = { user: 'me', domain: 'CORP', secret: { kind: 'password', password }, source, id: 'x' } as const;
    const hop = parseProxyUrl('http://p.example:8080', 'user');
    const message = `http://p.example:8080 has rejected the password of CORP\\me (${source}). So that the account is not locked, it is not sent there again until it changes: ${remedy}.`;
    assert.equal(
      rejectedMessage(hop, credential, 1_800_000),
      `${message} In case its domain controller was away it is tried once more by itself in 30 min; SIGHUP has it tried at once.`,
    );
    assert.equal(rejectedMessage(hop, credential, undefined), `${message} SIGHUP has it tried once more.`);
  });
}
