import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startProxy } from '../index.ts';
import { askRunning, textIn } from './running-proxy.ts';

test('a proxy without a control socket, as on Windows, is asked by its admin address and the token', async () => {
  await using proxy = await startProxy({ admin: { listen: '127.0.0.1:0' } });
  const { url = '', token = '' } = proxy.admin ?? {};
  const before = process.env.VIADUCT_ADMIN_TOKEN;
  process.env.VIADUCT_ADMIN_TOKEN = token;
  try {
    const instance = { admin: url };
    const set = await askRunning(instance, 'POST', '/api/mode', { mode: 'direct', for: '1m' });
    assert.equal(textIn(set, 'mode'), 'direct');
    assert.equal(textIn(await askRunning(instance, 'GET', '/api/mode'), 'mode'), 'direct');
    await assert.rejects(askRunning(instance, 'POST', '/api/mode', { mode: 'pac' }), /routes\.pac is none/);
    await assert.rejects(askRunning({}, 'GET', '/api/mode'), /neither by a control socket nor/);
  } finally {
    if (before === undefined) delete process.env.VIADUCT_ADMIN_TOKEN;
    else process.env.VIADUCT_ADMIN_TOKEN = before;
  }
});
