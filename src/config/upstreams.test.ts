import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { selfSigned } from '../../test/support/certificate.ts';
import { temporaryFolder } from '../../test/support/temporary.ts';
import { parseConfigFile } from './file.ts';
import { checkInput, resolveOptions } from './schema.ts';

test('a file of authorities is looked for beside the configuration that names it, and has to be one', () => {
  using folder = temporaryFolder();
  const name = join(folder.path, 'viaduct.yaml');
  const { values } = parseConfigFile('upstreams:\n  - { host: .corp, ca: ca.pem, serverName: proxy.corp }\n', name);
  const ca = join(folder.path, 'ca.pem');
  const { config } = checkInput(values);
  assert.deepEqual(config?.upstreams, [{ host: '.corp', ca, serverName: 'proxy.corp' }]);
  const upstreams = [{ host: 'a.corp' }, { host: '.corp', ca }];
  assert.throws(() => resolveOptions({ upstreams }), /upstreams\[1\]\.ca: .*ca\.pem: cannot be read: ENOENT/);
  writeFileSync(ca, selfSigned().cert);
  assert.equal(resolveOptions({ upstreams }).upstreams.length, 2);
});
