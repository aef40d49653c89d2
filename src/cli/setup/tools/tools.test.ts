import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Machine } from '../machine.ts';
import type { Wanted } from '../tool.ts';
import { NETWORKSETUP } from './macos.ts';
import { TOOLS } from './tools.ts';
import { NETSH, REGISTRY } from './windows.ts';

/** A machine that has every command and these paths. */
const machine = (platform: NodeJS.Platform, paths: readonly string[] = [], printed = ''): Machine => ({
  platform,
  environment: { APPDATA: '/appdata', LOCALAPPDATA: '/localappdata', XDG_CURRENT_DESKTOP: 'KDE:GNOME' },
  home: '/home/me',
  configHome: '/home/me/.config',
  isAdministrator: false,
  hasCommand: () => true,
  exists: (path) => paths.includes(path),
  list: (folder) => paths.filter((path) => path.startsWith(`${folder}/`)).map((path) => path.slice(folder.length + 1)),
  run: async () => ({ code: 0, out: printed, err: '' }),
});

const wanted: Wanted = {
  proxy: { url: 'http://127.0.0.1:3128', host: '127.0.0.1', port: 3128 },
  pacUrl: 'http://127.0.0.1:3128/proxy.pac',
  caFile: undefined,
  command: ['viaduct'],
  containerUrl: 'http://172.17.0.1:3128',
};

/** The files that a tool gets where it had none, and the programs that are run. */
async function written(name: string, on: Machine, by: Wanted = wanted): Promise<Record<string, string>> {
  const tool = TOOLS.find((one) => one.name === name);
  assert.ok(tool !== undefined, name);
  assert.ok(tool.isFound(on), `${name} is found`);
  const files: Record<string, string> = {};
  for (const setting of await tool.settings(on, by)) {
    if (setting.kind === 'file') {
      files[setting.path] = setting.format.write(files[setting.path] ?? '', setting.key, setting.value);
    } else {
      const words = setting.program.writeWords(setting.key, setting.value);
      files[words.join(' ')] = setting.program.removeWords(setting.key).join(' ');
    }
  }
  return files;
}

describe('what a tool gets that cannot run here is what its documentation has', () => {
  const linux = machine('linux');
  const cases: readonly (readonly [tool: string, on: Machine, by: Wanted, files: Record<string, string>])[] = [
    // https://docs.conda.io/projects/conda/en/stable/user-guide/configuration/settings.html#proxy-servers
    [
      'conda',
      linux,
      wanted,
      { '/home/me/.condarc': 'proxy_servers:\n  https: "http://127.0.0.1:3128"\n  http: "http://127.0.0.1:3128"\n' },
    ],
    // https://docs.astral.sh/uv/reference/settings/
    [
      'uv',
      linux,
      wanted,
      {
        '/home/me/.config/uv/uv.toml':
          'http-proxy = "http://127.0.0.1:3128"\nhttps-proxy = "http://127.0.0.1:3128"\nno-proxy = ["localhost","127.0.0.1","::1"]\n',
      },
    ],
    // https://docs.gradle.org/current/userguide/networking.html
    [
      'gradle',
      linux,
      wanted,
      {
        '/home/me/.gradle/gradle.properties':
          'systemProp.http.proxyHost=127.0.0.1\nsystemProp.http.proxyPort=3128\nsystemProp.https.proxyHost=127.0.0.1\n' +
          'systemProp.https.proxyPort=3128\nsystemProp.http.nonProxyHosts=localhost|127.*|[::1]\n',
      },
    ],
    // https://docs.docker.com/engine/cli/proxy/
    [
      'docker',
      linux,
      wanted,
      {
        '/home/me/.docker/config.json':
          '{\n\t"proxies": {\n\t\t"default": {\n\t\t\t"httpProxy": "http://172.17.0.1:3128",\n' +
          '\t\t\t"httpsProxy": "http://172.17.0.1:3128",\n\t\t\t"noProxy": "localhost,127.0.0.1,::1"\n\t\t}\n\t}\n}',
      },
    ],
    // https://docs.docker.com/engine/daemon/proxy/
    [
      'docker-daemon',
      linux,
      wanted,
      {
        '/etc/docker/daemon.json':
          '{\n\t"proxies": {\n\t\t"http-proxy": "http://127.0.0.1:3128",\n\t\t"https-proxy": "http://127.0.0.1:3128",\n' +
          '\t\t"no-proxy": "localhost,127.0.0.1,::1"\n\t}\n}',
      },
    ],
    // https://github.com/containers/common/blob/main/docs/containers.conf.5.md
    [
      'podman',
      linux,
      wanted,
      {
        '/home/me/.config/containers/containers.conf':
          '[containers]\nhttp_proxy = false\nenv = ["http_proxy=http://172.17.0.1:3128","HTTP_PROXY=http://172.17.0.1:3128",' +
          '"https_proxy=http://172.17.0.1:3128","HTTPS_PROXY=http://172.17.0.1:3128","no_proxy=localhost,127.0.0.1,::1",' +
          '"NO_PROXY=localhost,127.0.0.1,::1"]\n',
      },
    ],
    // https://dnf5.readthedocs.io/en/latest/dnf5.conf.5.html
    ['dnf', linux, wanted, { '/etc/dnf/dnf.conf': '[main]\nproxy = http://127.0.0.1:3128\n' }],
    // https://docs.kde.org/stable5/en/kio-extras/kcontrol/proxy/
    [
      'kde',
      linux,
      wanted,
      {
        '/home/me/.config/kioslaverc':
          '[Proxy Settings]\nProxy Config Script=http://127.0.0.1:3128/proxy.pac\nProxyType=2\n',
      },
    ],
    [
      'kde',
      linux,
      { ...wanted, pacUrl: undefined },
      {
        '/home/me/.config/kioslaverc':
          '[Proxy Settings]\nhttpProxy=http://127.0.0.1 3128\nhttpsProxy=http://127.0.0.1 3128\nProxyType=1\n',
      },
    ],
    // https://code.visualstudio.com/docs/setup/network
    [
      'vscode',
      machine('linux', ['/home/me/.config/VSCodium/User']),
      wanted,
      {
        '/home/me/.config/VSCodium/User/settings.json':
          '{\n\t"http.proxy": "http://127.0.0.1:3128",\n\t"http.noProxy": ["localhost","127.0.0.1","::1"]\n}',
      },
    ],
    // https://www.jetbrains.com/help/idea/settings-http-proxy.html
    [
      'jetbrains',
      machine('linux', ['/home/me/.config/JetBrains/IntelliJIdea2026.1']),
      { ...wanted, pacUrl: undefined },
      {
        '/home/me/.config/JetBrains/IntelliJIdea2026.1/options/proxy.settings.xml':
          '<?xml version="1.0" encoding="UTF-8"?>\n<application>\n  <component name="HttpConfigurable">\n' +
          '    <option name="PROXY_EXCEPTIONS" value="localhost,127.0.0.1" />\n    <option name="PROXY_PORT" value="3128" />\n' +
          '    <option name="PROXY_HOST" value="127.0.0.1" />\n    <option name="USE_HTTP_PROXY" value="true" />\n' +
          '  </component>\n</application>\n',
      },
    ],
    // https://www.freedesktop.org/software/systemd/man/latest/environment.d.html
    [
      'session',
      linux,
      wanted,
      {
        '/home/me/.config/environment.d/60-viaduct.conf': [
          'http_proxy="http://127.0.0.1:3128"',
          'HTTP_PROXY="http://127.0.0.1:3128"',
          'https_proxy="http://127.0.0.1:3128"',
          'HTTPS_PROXY="http://127.0.0.1:3128"',
          'no_proxy="localhost,127.0.0.1,::1"',
          'NO_PROXY="localhost,127.0.0.1,::1"',
          'NODE_USE_ENV_PROXY="1"',
          'YARN_HTTP_PROXY="http://127.0.0.1:3128"',
          'YARN_HTTPS_PROXY="http://127.0.0.1:3128"',
          'JAVA_TOOL_OPTIONS="-Dhttp.proxyHost=127.0.0.1 -Dhttp.proxyPort=3128 -Dhttps.proxyHost=127.0.0.1 -Dhttps.proxyPort=3128 -Dhttp.nonProxyHosts=localhost|127.*|[::1]"\n',
        ].join('\n'),
      },
    ],
    // https://support.apple.com/guide/remote-desktop/about-networksetup-apdd0c5a2d5/mac
    [
      'macos',
      machine('darwin', [], 'An asterisk (*) denotes that a network service is disabled.\nWi-Fi\n*Bluetooth PAN\n'),
      wanted,
      {
        'networksetup -setautoproxyurl Wi-Fi http://127.0.0.1:3128/proxy.pac':
          'networksetup -setautoproxystate Wi-Fi off',
      },
    ],
    // https://learn.microsoft.com/windows-server/administration/windows-commands/reg-add
    [
      'wininet',
      machine('win32'),
      wanted,
      {
        'reg add HKCU\\Software\\Microsoft\\Windows\\CurrentVersion\\Internet Settings /v AutoConfigURL /t REG_SZ /d http://127.0.0.1:3128/proxy.pac /f':
          'reg delete HKCU\\Software\\Microsoft\\Windows\\CurrentVersion\\Internet Settings /v AutoConfigURL /f',
      },
    ],
    // https://learn.microsoft.com/windows-server/administration/windows-commands/netsh-winhttp
    [
      'winhttp',
      machine('win32'),
      wanted,
      { 'netsh winhttp set proxy proxy-server=127.0.0.1:3128 bypass-list=<local>': 'netsh winhttp reset proxy' },
    ],
  ];
  for (const [name, on, by, files] of cases)
    test(`${name}${by.pacUrl === undefined ? ', without a PAC' : ''}`, async () => {
      assert.deepEqual(await written(name, on, by), files);
    });

  test('shells get a file of their own each', async () => {
    const [fish, pwsh] = [await written('fish', linux), await written('powershell', linux)];
    assert.match(
      fish['/home/me/.config/fish/conf.d/viaduct.fish'] ?? '',
      /^set -gx https_proxy 'http:\/\/127\.0\.0\.1:3128'$/m,
    );
    assert.match(
      pwsh['/home/me/.config/powershell/profile.ps1'] ?? '',
      /^\$Env:https_proxy = 'http:\/\/127\.0\.0\.1:3128'$/m,
    );
  });
});

test('zsh gets the profile that it reads, also where only those of other shells exist', async () => {
  const on = machine('darwin', ['/home/me/.profile']);
  const zsh = { ...on, environment: { SHELL: '/bin/zsh', ZDOTDIR: '/home/me/.zsh' } };
  const paths = async (given: Machine) => Object.keys(await written('shell', given)).slice(1);
  assert.deepEqual(await paths(zsh), ['/home/me/.profile', '/home/me/.zsh/.zshrc']);
  assert.deepEqual(await paths({ ...on, environment: { SHELL: '/bin/bash' } }), ['/home/me/.profile']);
});

test('what the programs of Windows and macOS print is read as they print it', () => {
  const registry =
    '\r\nHKEY_CURRENT_USER\\Software\r\n    AutoConfigURL    REG_SZ    http://wpad.corp/proxy.pac\r\n    ProxyEnable    REG_DWORD    0x1\r\n';
  assert.equal(REGISTRY.parse(registry, ['', 'AutoConfigURL']), 'http://wpad.corp/proxy.pac');
  assert.equal(REGISTRY.parse(registry, ['', 'ProxyEnable']), '1');
  assert.equal(REGISTRY.parse(registry, ['', 'ProxyServer']), undefined);
  const web = 'Enabled: Yes\nServer: proxy.corp\nPort: 8080\nAuthenticated Proxy Enabled: 0\n';
  assert.equal(NETWORKSETUP.parse(web, ['Wi-Fi', 'http']), 'proxy.corp:8080');
  assert.deepEqual(NETWORKSETUP.readWords(['Wi-Fi', 'https']), ['networksetup', '-getsecurewebproxy', 'Wi-Fi']);
  assert.equal(NETWORKSETUP.parse(web.replace('Yes', 'No'), ['Wi-Fi', 'http']), undefined);
  assert.equal(NETWORKSETUP.parse('URL: http://wpad/p.pac\nEnabled: Yes\n', ['Wi-Fi', 'pac']), 'http://wpad/p.pac');
});

test('the setting of WinHTTP is read in every language of Windows, and undone with its exceptions', () => {
  const connection = (flags: number, ...texts: readonly string[]) => {
    const numbers = [0x28, 0, flags].map((one) => Buffer.from(Uint32Array.of(one).buffer));
    const parts = texts.flatMap((text) => [Buffer.from(Uint32Array.of(text.length).buffer), Buffer.from(text)]);
    return Buffer.concat([...numbers, ...parts])
      .toString('hex')
      .toUpperCase();
  };
  const read = (hex: string) =>
    NETSH.parse(`\r\nHKEY_LOCAL_MACHINE\\Software\r\n    WinHttpSettings    REG_BINARY    ${hex}\r\n`, ['winhttp']);
  const restored = (hex: string) => NETSH.writeWords(['winhttp'], read(hex) ?? '').join(' ');
  assert.equal(
    restored(connection(3, 'proxy.corp:8080', '*.corp;<local>')),
    'netsh winhttp set proxy proxy-server=proxy.corp:8080 bypass-list=*.corp;<local>',
  );
  assert.equal(
    restored(connection(3, 'http=a:80;https=b:80', '')),
    'netsh winhttp set proxy proxy-server=http=a:80;https=b:80',
  );
  assert.equal(read(connection(1, '', '')), undefined);
  const automatic = connection(5, '', '', 'http://wpad/p.pac');
  assert.match(restored(automatic), new RegExp(`^reg add HKLM.* /v WinHttpSettings /t REG_BINARY /d ${automatic} /f$`));
});

test('JetBrains IDEs that run are left alone', async () => {
  const folder = '/home/me/.config/JetBrains/GoLand2025.3';
  const tool = TOOLS.find(({ name }) => name === 'jetbrains');
  assert.equal(tool?.blocked?.(machine('linux', [folder]), wanted), undefined);
  assert.match(
    tool?.blocked?.(machine('linux', [folder, `${folder}/.lock`]), wanted) ?? '',
    /^an IDE of JetBrains runs, and would write its own settings over these; close it first$/,
  );
});

test('a Docker daemon that would not start with proxies in daemon.json is left as it is', async () => {
  const on = (version: string) => machine('linux', [], `Docker version ${version}, build 1\n`);
  await assert.rejects(
    written('docker-daemon', on('20.10.24+dfsg1')),
    /^UntouchedError: Docker Engine 20\.10\.24 would/,
  );
  assert.deepEqual(Object.keys(await written('docker-daemon', on('23.0.0'))), ['/etc/docker/daemon.json']);
});
