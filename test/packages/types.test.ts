/** The package as a program has it: unpacked in an empty folder, with its dependencies beside it. */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { hasPackage, otherPackage } from '../../scripts/other-packages.ts';
import { ROOT } from '../../scripts/tools.ts';
import { installPackage, runIn } from '../support/installed-package.ts';
import { type TemporaryFolder, temporaryFolder } from '../support/temporary.ts';

const PROGRAM = `
import { connectVia, ProxyError, startProxy, type AuthorizeContext, type RouteHook, type Session } from 'viaduct';
const route: RouteHook = (ctx) => ({ via: ['http://a.example:3128', 'direct'], from: '192.0.2.1', family: ctx.target.port === 1 ? 4 : 6 });
const mayPass = (ctx: AuthorizeContext) => (ctx.target.port === 443 ? ctx.allow() : ctx.deny('port'));
export async function run(): Promise<readonly Session[]> {
  const proxy = await startProxy({
    limits: { bandwidth: [{ per: 'client', rate: '1MiB' }] },
    authenticate: ({ username, password }) => (username === password ? { id: username } : null),
    authorize: mayPass,
    route,
    respond: async ({ url }) => (url === undefined ? undefined : new Response('blocked', { status: 451 })),
    tunnel: () => null,
    limit: (ctx) => ({ down: [{ key: \`user \${ctx.user?.id}\`, rate: '2MiB' }] }),
  });
  proxy.on('close', ({ record }) => record.bytesDown satisfies number);
  proxy.on('error', ({ error }) => error satisfies ProxyError);
  await connectVia(proxy.url, 'a.example:443');
  // @ts-expect-error: a route is no number.
  await startProxy({ route: () => 7 });
  throw ProxyError.custom({ status: 418, fields: { 'Retry-After': '1' } }) satisfies Error;
}
`;

let folder: TemporaryFolder;
before(() => {
  folder = temporaryFolder();
  installPackage(folder);
  return () => folder[Symbol.dispose]();
});

for (const version of ['5.6', '5.9', '6.0', '7']) {
  const isAtHand = version === '7' || process.env.CI === 'true' || hasPackage(`typescript@${version}`);
  const skip = isAtHand ? false : 'CI=true brings this TypeScript by npm';
  for (const [module, resolution] of [
    ['nodenext', 'nodenext'],
    ['esnext', 'bundler'],
  ] as const) {
    test(`a program compiles with TypeScript ${version}, module ${module}, all declarations checked`, {
      skip,
      timeout: 120_000,
    }, () => {
      folder.write('package.json', '{"type":"module"}');
      folder.write('program.ts', PROGRAM);
      folder.write(
        'tsconfig.json',
        JSON.stringify({
          compilerOptions: {
            strict: true,
            noEmit: true,
            skipLibCheck: false,
            exactOptionalPropertyTypes: true,
            target: 'es2022',
            lib: ['es2023', 'esnext.disposable'],
            types: ['node'],
            module,
            moduleResolution: resolution,
          },
          files: ['program.ts'],
        }),
      );
      const compiler =
        version === '7'
          ? `${ROOT}node_modules/typescript/bin/tsc`
          : `${otherPackage(`typescript@${version}`)}/lib/tsc.js`;
      assert.deepEqual(runIn(folder, [compiler]), { said: '', status: 0 });
    });
  }
}

const USE = `startProxy().then(async (proxy) => { await proxy.close(); console.log(typeof proxy.url); });`;
for (const [kind, file, text] of [
  ['an ES module', 'program.mjs', `import { startProxy } from 'viaduct'; ${USE}`],
  ['CommonJS', 'program.cjs', `const { startProxy } = require('viaduct'); ${USE}`],
  [
    'a worker thread',
    'thread.cjs',
    `const { Worker } = require('node:worker_threads'); new Worker("const { startProxy } = require('viaduct'); " + ${JSON.stringify(USE)}, { eval: true });`,
  ],
  [
    'a PAC script, whose thread lies beside the library,',
    'pac.mjs',
    `import { startProxy } from 'viaduct';
     const pac = 'data:application/x-ns-proxy-autoconfig,function FindProxyForURL() { return "DIRECT"; }';
     const proxy = await startProxy({ routes: { pac } });
     const target = await startProxy();
     const closed = new Promise((resolve) => proxy.once('close', resolve));
     const { fetchVia } = await import('viaduct');
     const fetch = fetchVia(proxy.url);
     await (await fetch(target.url)).text();
     await fetch[Symbol.asyncDispose]();
     const { record } = await closed;
     await proxy.close(); await target.close();
     console.log(record.status === 403 || record.status === 200 || record.status === 508 ? typeof record.id : record.detail);`,
  ],
] as const) {
  test(`the package works from ${kind}`, () => {
    folder.write(file, text);
    assert.deepEqual(runIn(folder, [file]), { said: 'string\n', status: 0 });
  });
}

/** An empty program takes some 25 ms of CPU time; before the library was one file its import took eighteen times that. */
const EMPTY_STARTS_MAX = 12;

test('importing the library costs a few times what an empty program does', () => {
  const cpuMs = (code: string): number => {
    const print = 'const { user, system } = process.cpuUsage(); console.log((user + system) / 1000);';
    const best = Array.from({ length: 5 }, () =>
      Number(runIn(folder, ['--input-type=module', '-e', code + print]).said),
    );
    return Math.min(...best);
  };
  const empty = cpuMs('');
  const times = (cpuMs("await import('viaduct');") - empty) / empty;
  assert.ok(times < EMPTY_STARTS_MAX, `${times.toFixed(1)} times an empty start of ${empty} ms`);
});
