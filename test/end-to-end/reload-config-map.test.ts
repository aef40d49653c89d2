/** A configuration in a folder as Kubernetes mounts a ConfigMap: every file is a link through `..data`, which is swapped. */
import assert from 'node:assert/strict';
import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { viaduct } from '../support/cli.ts';
import { rawClient } from '../support/raw-client.ts';
import { temporaryFolder } from '../support/temporary.ts';

type Files = Readonly<Record<string, string>>;

/** Does what the kubelet does (k8s.io/kubernetes/pkg/volume/util/atomic_writer.go): a folder for each version, and one rename. */
class MountedConfigMap {
  readonly #path: string;
  #versions = 0;

  constructor(path: string, files: Files) {
    this.#path = path;
    this.#write(files);
    for (const name of Object.keys(files)) symlinkSync(join('..data', name), join(path, name));
  }

  update(files: Files): void {
    const before = this.#version;
    this.#write(files);
    rmSync(join(this.#path, before), { recursive: true });
  }

  get #version(): string {
    return `..2026_11_30_20_00_00.${this.#versions}`;
  }

  #write(files: Files): void {
    this.#versions += 1;
    const folder = join(this.#path, this.#version);
    mkdirSync(folder);
    for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
    symlinkSync(this.#version, join(this.#path, '..data_tmp'));
    renameSync(join(this.#path, '..data_tmp'), join(this.#path, '..data'));
  }
}

async function statusOf(port: number, host: string): Promise<string> {
  using client = await rawClient(port);
  client.send(`GET http://${host}/ HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
  return (await client.until('\r\n\r\n')).split(' ')[1] ?? '';
}

const config = (name: string): string =>
  `listen: 127.0.0.1:0\nlog: { format: off }\nroutes: { pac: none }\nname: ${name}\n` +
  'access: [{ name: blocked, deny: { hosts: "file:blocked.txt" } }]\n';

test('a swap of the link behind configuration and lists is a reload, again and again', {
  timeout: 60_000,
}, async () => {
  using folder = temporaryFolder();
  const mounted = new MountedConfigMap(folder.path, { 'viaduct.yaml': config('one'), 'blocked.txt': 'a.invalid\n' });
  using running = viaduct(['-c', join(folder.path, 'viaduct.yaml')]);
  const port = await running.port();
  assert.equal(await statusOf(port, 'a.invalid'), '403');
  assert.notEqual(await statusOf(port, 'b.invalid'), '403');
  mounted.update({ 'viaduct.yaml': config('two'), 'blocked.txt': 'a.invalid\n' });
  await running.says(/viaduct\.yaml: reloaded: name\n/);
  mounted.update({ 'viaduct.yaml': config('two'), 'blocked.txt': 'b.invalid\n' });
  await running.says(/viaduct\.yaml: reloaded: access\[0\]\n/);
  assert.notEqual(await statusOf(port, 'a.invalid'), '403');
  assert.equal(await statusOf(port, 'b.invalid'), '403');
  mounted.update({ 'viaduct.yaml': 'listen: [\n', 'blocked.txt': 'b.invalid\n' });
  await running.says(/viaduct\.yaml:2: .*; nothing was changed\n/);
  assert.equal(await statusOf(port, 'b.invalid'), '403');
  mounted.update({ 'viaduct.yaml': config('three'), 'blocked.txt': 'c.invalid\n' });
  await running.says(/viaduct\.yaml: reloaded: name, access\[0\]\n/);
  assert.equal(await statusOf(port, 'c.invalid'), '403');
});
