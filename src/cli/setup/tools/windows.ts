import { connectionIn } from '../../../pac/discovery/windows-connection.ts';
import type { Setting, SettingProgram, Tool } from '../tool.ts';

/** The key: a key of the registry, the name of a value, and its type. */
export const REGISTRY: SettingProgram = {
  name: 'reg',
  readWords: ([key = '', name = '']) => ['reg', 'query', key, '/v', name],
  parse: (printed, [, name = '']) => {
    const line = printed.split(/\r?\n/).find((one) => one.trim().startsWith(`${name} `));
    const value = /\sREG_\w+\s+(.*)$/.exec(line ?? '')?.[1]?.trim();
    return value !== undefined && /^0x[0-9a-f]+$/i.test(value) ? String(Number(value)) : value;
  },
  writeWords: ([key = '', name = '', type = 'REG_SZ'], value) => [
    'reg',
    'add',
    key,
    '/v',
    name,
    '/t',
    type,
    '/d',
    value,
    '/f',
  ],
  removeWords: ([key = '', name = '']) => ['reg', 'delete', key, '/v', name, '/f'],
};

const INTERNET = 'HKCU\\Software\\Microsoft\\Windows\\CurrentVersion\\Internet Settings';

export const wininet: Tool = {
  name: 'wininet',
  title: 'Windows (WinINET: Edge, Chrome, most programs)',
  scope: 'user',
  when: 'found',
  takesPac: true,
  isFound: ({ platform }) => platform === 'win32',
  settings(_machine, { proxy, pacUrl }) {
    const set = (name: string, type: string, value: string): Setting => {
      return { kind: 'program', program: REGISTRY, key: [INTERNET, name, type], value };
    };
    if (pacUrl !== undefined) return [set('AutoConfigURL', 'REG_SZ', pacUrl)];
    return [
      set('ProxyServer', 'REG_SZ', `${proxy.host}:${proxy.port}`),
      set('ProxyOverride', 'REG_SZ', 'localhost;127.*;[::1];<local>'),
      set('ProxyEnable', 'REG_DWORD', '1'),
    ];
  },
  advice:
    'Programs that run already may keep the setting that they have read. Apps of the Store need CheckNetIsolation LoopbackExempt before they reach this machine itself.',
  page: {
    place: '`HKCU\\…\\Internet Settings`',
    value: '`AutoConfigURL`; or `ProxyServer`, `ProxyOverride`, `ProxyEnable`',
    trap: 'Apps of the Store reach 127.0.0.1 only after `CheckNetIsolation LoopbackExempt`. VPN connections have a setting of their own',
    source:
      'https://learn.microsoft.com/troubleshoot/windows-client/networking/configure-client-proxy-server-settings-by-registry-file',
    proof: 'undone under Wine',
  },
};

export const winhttp: Tool = {
  name: 'winhttp',
  title: 'Windows services (WinHTTP)',
  scope: 'system',
  when: 'named',
  takesPac: false,
  isFound: ({ platform }) => platform === 'win32',
  settings(_machine, { proxy }) {
    const value = `${proxy.host}:${proxy.port}${BYPASS}<local>`;
    return [{ kind: 'program', program: NETSH, key: ['winhttp'], value }];
  },
  page: {
    place: '`netsh winhttp`',
    value: '`set proxy`',
    trap: 'Windows Update uses it too, and fails while Viaduct is stopped',
    source: 'https://learn.microsoft.com/windows-server/administration/windows-commands/netsh-winhttp',
    proof: 'compared',
  },
};

const CONNECTIONS = 'HKLM\\Software\\Microsoft\\Windows\\CurrentVersion\\Internet Settings\\Connections';
const WINHTTP_VALUE = [CONNECTIONS, 'WinHttpSettings', 'REG_BINARY'] as const;
const BYPASS = '; past it: ';
const BYTES = 'bytes ';

/**
 * `netsh` sets it, and prints it in the language of Windows: what stands there is read from the registry. A setting that `set proxy` cannot
 * write, such as a PAC of `set advproxy`, is kept and put back as bytes.
 */
export const NETSH: SettingProgram = {
  name: 'netsh winhttp',
  readWords: () => REGISTRY.readWords(WINHTTP_VALUE),
  parse(printed) {
    const hex = REGISTRY.parse(printed, WINHTTP_VALUE);
    const found = connectionIn(hex);
    if (found === undefined) return undefined;
    if (found.detects || found.url !== '') return `${BYTES}${hex}`;
    if (found.servers === '') return undefined;
    return found.except === '' ? found.servers : `${found.servers}${BYPASS}${found.except}`;
  },
  writeWords(_key, value) {
    if (value.startsWith(BYTES)) return REGISTRY.writeWords(WINHTTP_VALUE, value.slice(BYTES.length));
    const [servers = '', except] = value.split(BYPASS);
    const bypass = except === undefined ? [] : [`bypass-list=${except}`];
    return ['netsh', 'winhttp', 'set', 'proxy', `proxy-server=${servers}`, ...bypass];
  },
  removeWords: () => ['netsh', 'winhttp', 'reset', 'proxy'],
};
