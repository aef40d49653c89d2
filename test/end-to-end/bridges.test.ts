/** `--listen docker`: containers use the proxy, and no other client by that address. */
import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { isLong } from '../support/bulk.ts';
import { viaduct, viaductEnds } from '../support/cli.ts';
import { FarNetwork } from '../support/far-network.ts';
import { Home } from '../support/home.ts';
import { isInside, MACHINE_IP, noNamespace, runInside } from '../support/namespace.ts';
import { openParts } from '../support/open-parts.ts';
import { answering, ok, RawOrigin } from '../support/origin.ts';
import { absent, missing } from '../support/requires.ts';
import { run } from '../support/run.ts';
import { temporaryFolder } from '../support/temporary.ts';

const ip = (...words: string[]): void => void execFileSync('ip', words);

/** A bridge; disposing removes it. */
class Bridge implements Disposable {
  readonly name: string;
  #containers = 0;

  constructor(name: string, address: string) {
    this.name = name;
    ip('link', 'add', name, 'type', 'bridge');
    ip('addr', 'add', address, 'dev', name);
    ip('link', 'set', name, 'up');
  }

  /**
   * As when its last container has ended: a cable whose other end is down. Disposing removes the cable. A bridge without any cable
   * has a carrier, and one that is up notices only after a second that it has none.
   */
  loseCarrier(): Disposable {
    const cable = `${this.name.slice(0, 8)}-idle`;
    ip('link', 'add', cable, 'type', 'veth', 'peer', 'name', `${this.name.slice(0, 8)}-far`);
    ip('link', 'set', cable, 'master', this.name, 'up');
    for (const state of ['down', 'up']) ip('link', 'set', this.name, state);
    return { [Symbol.dispose]: () => ip('link', 'delete', cable) };
  }

  run(address: string): Promise<Container> {
    this.#containers += 1;
    return Container.start(this.name, address, `${this.name.slice(0, 8)}-c${this.#containers}`);
  }

  [Symbol.dispose](): void {
    ip('link', 'delete', this.name);
  }
}

/** A network namespace on a bridge, which serves one text on port 80. */
class Container implements AsyncDisposable {
  readonly #machine: ChildProcess;

  private constructor(machine: ChildProcess) {
    this.#machine = machine;
  }

  static async start(bridge: string, address: string, cable: string): Promise<Container> {
    const server = `require('node:http').createServer((_, answer) => answer.end('from a container'))
      .listen(80, '0.0.0.0', () => process.stdout.write('ready'));`;
    const machine = spawn('unshare', ['-n', process.execPath, '-e', server], { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(machine.stdout, 'data');
    const inside = (...words: string[]) => execFileSync('nsenter', ['-t', `${machine.pid}`, '-n', 'ip', ...words]);
    ip('link', 'add', cable, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', `${machine.pid}`);
    ip('link', 'set', cable, 'master', bridge, 'up');
    inside('addr', 'add', address, 'dev', 'eth0');
    inside('link', 'set', 'eth0', 'up');
    return new Container(machine);
  }

  /** Status and text of a page through a proxy. */
  async get(proxy: string, url: string): Promise<string> {
    const curl = ['curl', '-sS', '--max-time', '10', '-w', ' %{http_code}', '-x', proxy, url];
    const { out, err } = await run('nsenter', ['-t', `${this.#machine.pid}`, '-n', ...curl]);
    return out + err;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = once(this.#machine, 'exit');
    this.#machine.kill('SIGKILL');
    await ended;
  }
}

/** What Docker's client would give a container as its environment; the daemon, which it asks to create one, is one of the test. */
async function variablesOfContainer(home: Home): Promise<readonly string[]> {
  let created = '{}';
  const daemon = createServer(async (request, response) => {
    const body = await text(request);
    const isCreation = request.url?.includes('/containers/create') === true;
    if (isCreation) created = body;
    response.writeHead(isCreation ? 201 : 200, { 'Api-Version': '1.41', 'Content-Type': 'application/json' });
    response.end(JSON.stringify({ Id: 'a'.repeat(64), Warnings: [] }));
  }).listen(home.at('.run/docker.sock'));
  await once(daemon, 'listening');
  const { code, err } = await home.run('docker', ['-H', `unix://${home.at('.run/docker.sock')}`, 'create', 'an-image']);
  daemon.close();
  assert.equal(code, 0, err);
  const { Env = [] } = JSON.parse(created) as { readonly Env?: readonly string[] };
  return Env;
}

const QUIET = ['--log', 'off', '--pac', 'none', '--no-admin'];
const listening = (address: string): RegExp =>
  new RegExp(`listening on (http://${address.replaceAll('.', '\\.')}:\\d+)\\n`);
const FORBIDDEN = /This proxy does not connect to that address\.[\s\S]* 403$/;

function tests(): void {
  test('containers reach other hosts, and neither this machine nor the addresses of its network', async () => {
    using bridge = new Bridge('docker0', '172.17.0.1/16');
    await using client = await bridge.run('172.17.0.2/16');
    await using _server = await bridge.run('172.17.0.3/16');
    await using local = await RawOrigin.listen(answering(() => ok('local')));
    using proxy = viaduct(['--listen', 'localhost:0', '--listen', 'docker:0', ...QUIET]);
    const said = await proxy.says(listening('172.17.0.1'));
    const url = listening('172.17.0.1').exec(said)?.[1] ?? '';
    assert.equal(await client.get(url, 'http://172.17.0.3/'), 'from a container 200');
    const port = Number(local.authority.split(':')[1]);
    for (const host of ['127.0.0.1', '172.17.0.1', MACHINE_IP, '[::ffff:127.0.0.1]', '169.254.169.254']) {
      assert.match(await client.get(url, `http://${host}:${port}/`), FORBIDDEN, host);
    }
    // The same proxy serves programs of this machine as before.
    const own = `http://127.0.0.1:${await proxy.port()}`;
    assert.equal((await run('curl', ['-sS', '--noproxy', '', '-x', own, `http://127.0.0.1:${port}/`])).out, 'local');
  });

  test('a host of the office network that reaches the address of the bridge is refused', async () => {
    using _bridge = new Bridge('docker0', '172.17.0.1/16');
    using proxy = viaduct(['--listen', 'docker:0', ...QUIET]);
    const said = await proxy.says(listening('172.17.0.1'));
    const port = /:(\d+)\n/.exec(listening('172.17.0.1').exec(said)?.[0] ?? '')?.[1] ?? '';
    await using far = await FarNetwork.start('');
    far.plug();
    const [enter = '', ...words] = far.entering;
    execFileSync(enter, [...words, 'ip', 'route', 'add', '172.17.0.0/16', 'via', '10.77.0.2']);
    const curl = ['curl', '-sS', '--max-time', '10', '-x', `http://172.17.0.1:${port}`, 'http://a.test/'];
    const { out } = await run(enter, [...words, ...curl]);
    assert.match(out, /^A rule of this proxy does not allow this request\. This listener is for containers alone\./);
  });

  for (const workers of ['1', '2']) {
    test(`a bridge that comes is listened on, and one that goes is not (workers: ${workers})`, async () => {
      using docker = new Bridge('docker0', '172.17.0.1/16');
      assert.equal(docker.name, 'docker0');
      using proxy = viaduct(['--listen', 'docker:0', '--workers', workers, ...QUIET]);
      await proxy.says(listening('172.17.0.1'));
      {
        using compose = new Bridge('br-0123456789ab', '172.18.0.1/16');
        await using client = await compose.run('172.18.0.2/16');
        await using _other = await compose.run('172.18.0.3/16');
        const said = await proxy.says(/listening on .*http:\/\/172\.18\.0\.1:\d+, as the bridges are now/);
        const url = /http:\/\/172\.18\.0\.1:\d+/.exec(said)?.[0] ?? '';
        assert.equal(await client.get(url, 'http://172.18.0.3/'), 'from a container 200');
      }
      await proxy.says(/listening on http:\/\/172\.17\.0\.1:\d+, as the bridges are now/);
    });
  }

  test('a bridge without a running container is listened on, and its address is one of this machine', async () => {
    using docker = new Bridge('docker0', '172.17.0.1/16');
    using _cable = docker.loseCarrier();
    using compose = new Bridge('br-0123456789ab', '172.18.0.1/16');
    await using client = await compose.run('172.18.0.2/16');
    using proxy = viaduct(['--listen', 'docker:0', ...QUIET]);
    await proxy.says(listening('172.17.0.1'));
    const url = listening('172.18.0.1').exec(await proxy.says(listening('172.18.0.1')))?.[1] ?? '';
    assert.match(await client.get(url, 'http://172.17.0.1:1/'), FORBIDDEN);
  });

  test('an address of IPv6 that has no carrier yet is listened on once it has, with one worker and with two', async () => {
    using docker = new Bridge('docker0', '172.17.0.1/16');
    using _cable = docker.loseCarrier();
    ip('addr', 'add', 'fd00::1/64', 'dev', docker.name);
    using one = viaduct(['--listen', 'docker:0', ...QUIET]);
    using two = viaduct(['--listen', 'docker:0', '--workers', '2', ...QUIET]);
    const both = (text: RegExp) => Promise.all([one, two].map((proxy) => proxy.says(text)));
    await both(listening('172.17.0.1'));
    await using _client = await docker.run('172.17.0.2/16');
    await both(/listening on .*http:\/\/\[fd00::1\]:\d+, as the bridges are now/);
  });

  test('a port that is taken on one bridge keeps no other from being followed, and none at all no reload', async () => {
    using folder = temporaryFolder();
    const files = [1, 2].map((workers) => (name: string) => {
      const listen = `docker:${workers}`;
      return folder.write(`${workers}.yaml`, { listen, workers, name, admin: false });
    });
    const docker = new Bridge('docker0', '172.17.0.1/16');
    const proxies = files.map((file) => viaduct(['--config', file('one'), '--log', 'off', '--pac', 'none']));
    await using open = openParts();
    for (const proxy of proxies) open.use('proxy', proxy);
    const all = (text: RegExp) => Promise.all(proxies.map((proxy) => proxy.says(text)));
    await all(listening('172.17.0.1'));
    ip('addr', 'add', '172.19.0.1/32', 'dev', 'lo');
    const others = [1, 2].map((port) => createServer().listen(port, '172.19.0.1'));
    await Promise.all(others.map((other) => once(other, 'listening')));
    {
      using _taken = new Bridge('br-aaaaaaaaaaaa', '172.19.0.1/16');
      await all(/cannot listen on 172\.19\.0\.1:\d: EADDRINUSE; it is tried again every 2 s/);
      using _free = new Bridge('br-0123456789ab', '172.18.0.1/16');
      docker[Symbol.dispose]();
      await all(/listening on http:\/\/172\.18\.0\.1:\d, as the bridges are now/);
    }
    ip('addr', 'del', '172.19.0.1/32', 'dev', 'lo');
    for (const other of others) other.close();
    await all(/listening on nothing: there is no bridge any more/);
    for (const file of files) file('two');
    for (const { child } of proxies) child.kill('SIGHUP');
    await all(/reloaded: name/);
    using _next = new Bridge('docker0', '172.17.0.1/16');
    await all(/listening on http:\/\/172\.17\.0\.1:\d, as the bridges are now/);
  });

  test('setup gives Docker the address that works from inside, and says who may then use the login', async () => {
    using docker = new Bridge('docker0', '172.17.0.1/16');
    assert.equal(docker.name, 'docker0');
    using home = new Home();
    home.write('.docker/config.json', '{\n  "auths": {}\n}\n', 0o600);
    const before = home.snapshot();
    using proxy = viaduct(['--listen', 'localhost:0', '--listen', 'docker:0', ...QUIET], home.environment);
    const url = listening('172.17.0.1').exec(await proxy.says(listening('172.17.0.1')))?.[1];
    const { code, out, err } = await home.viaduct('setup', 'docker');
    assert.equal(code, 0, err);
    assert.match(out, /Every container can then use your login at upstream proxies\./);
    const { proxies } = JSON.parse(home.read('.docker/config.json')) as { proxies: unknown };
    assert.deepEqual(proxies, { default: { httpProxy: url, httpsProxy: url, noProxy: 'localhost,127.0.0.1,::1' } });
    await home.viaduct('setup', '--undo');
    assert.deepEqual(home.snapshot(), before);
  });

  if (isLong) {
    test('Docker’s client gives that address to the containers that it creates', {
      skip: absent('docker.io', 'docker'),
    }, async () => {
      using docker = new Bridge('docker0', '172.17.0.1/16');
      assert.equal(docker.name, 'docker0');
      using home = new Home();
      using proxy = viaduct(['--listen', 'localhost:0', '--listen', 'docker:0', ...QUIET], home.environment);
      const url = listening('172.17.0.1').exec(await proxy.says(listening('172.17.0.1')))?.[1];
      assert.equal((await home.viaduct('setup', 'docker')).code, 0);
      const variables = await variablesOfContainer(home);
      for (const name of ['HTTP_PROXY', 'http_proxy', 'HTTPS_PROXY', 'https_proxy'])
        assert.ok(variables.includes(`${name}=${url}`), `${name} in ${variables}`);
    });

    test('setup gives Podman the address that works from inside, and no localhost of the shell', {
      skip: absent('podman', 'podman'),
    }, async () => {
      using podman = new Bridge('podman0', '10.88.0.1/16');
      assert.equal(podman.name, 'podman0');
      using home = new Home({ https_proxy: 'http://localhost:1' });
      const path = '.config/containers/containers.conf';
      home.write(path, '# mine\n[containers]\nlog_size_max = 9000\n');
      const own = home.read(path);
      using proxy = viaduct(['--listen', 'localhost:0', '--listen', 'podman:0', ...QUIET], home.environment);
      const url = listening('10.88.0.1').exec(await proxy.says(listening('10.88.0.1')))?.[1];
      assert.equal((await home.viaduct('setup', 'podman')).code, 0);
      const folders = ['--root', home.at('store'), '--runroot', home.at('.run/podman'), '--storage-driver', 'vfs'];
      // Podman of root reads the file of the system alone, unless CONTAINERS_CONF names another.
      const run = (...words: string[]) =>
        home.run('podman', [...folders, ...words], { CONTAINERS_CONF: home.at(path) });
      const created = await run('create', '--network', 'none', '--rootfs', '/', 'env');
      assert.equal(created.code, 0, created.err);
      const { out } = await run('container', 'inspect', '--format', '{{json .Config.Env}}', created.out.trim());
      const variables = JSON.parse(out) as readonly string[];
      for (const name of ['HTTP_PROXY', 'http_proxy', 'HTTPS_PROXY', 'https_proxy'])
        assert.ok(variables.includes(`${name}=${url}`), `${name} in ${variables}`);
      assert.ok(!variables.some((one) => one.includes('localhost:1')), String(variables));
      await run('rm', created.out.trim());
      assert.equal((await home.viaduct('setup', '--undo')).code, 0);
      assert.equal(home.read(path), own);
    });
  }

  test('where there is no bridge, and nothing else to listen on, the start says so', async () => {
    const { code, err } = await viaductEnds(['--listen', 'podman', ...QUIET]);
    assert.equal(code, 2);
    assert.equal(
      err.trimEnd().split('\n').at(-1),
      'viaduct: cannot listen on podman:3128: there is no such bridge now; start what makes it, or listen on localhost too',
    );
  });
}

if (isInside()) tests();
else {
  test(
    'listeners on bridges, in a network of their own',
    {
      skip: noNamespace() || missing('curl', 'iproute2'),
      timeout: 120_000,
    },
    () => runInside(import.meta.url),
  );
}
