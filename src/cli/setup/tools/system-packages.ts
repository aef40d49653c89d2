import { WHOLE } from '../formats/block.ts';
import { INI } from '../formats/lines.ts';
import type { Tool } from '../tool.ts';

export const apt: Tool = {
  name: 'apt',
  title: 'apt',
  scope: 'system',
  when: 'found',
  takesPac: false,
  isFound: ({ hasCommand }) => hasCommand('apt-get'),
  settings(_machine, { proxy, caFile }) {
    const lines = [
      `Acquire::http::Proxy "${proxy.url}/";`,
      `Acquire::https::Proxy "${proxy.url}/";`,
      ...(caFile === undefined ? [] : [`Acquire::https::CAInfo "${caFile}";`]),
    ];
    const value = lines.map((line) => `${line}\n`).join('');
    return [{ kind: 'file', path: '/etc/apt/apt.conf.d/95viaduct', format: WHOLE, key: [], value }];
  },
  page: {
    place: '`/etc/apt/apt.conf.d/95viaduct`',
    value: '`Acquire::http::Proxy`, `Acquire::https::Proxy`; with `--ca` `Acquire::https::CAInfo`',
    trap: 'sudo drops the variables of the shell, so apt needs its own file. `Acquire::http::Proxy::HOST "DIRECT";` is an exception',
    source: 'https://manpages.debian.org/apt-transport-http',
    proof: 'tried',
  },
};

export const dnf: Tool = {
  name: 'dnf',
  title: 'dnf',
  scope: 'system',
  when: 'found',
  takesPac: false,
  isFound: ({ hasCommand }) => hasCommand('dnf') || hasCommand('dnf5'),
  settings: (_machine, { proxy, caFile }) =>
    [['proxy', proxy.url], ...(caFile === undefined ? [] : [['sslcacert', caFile]])].map(([name = '', value = '']) => {
      return { kind: 'file', path: '/etc/dnf/dnf.conf', format: INI, key: ['main', name], value };
    }),
  page: {
    place: '`/etc/dnf/dnf.conf`, `[main]`',
    value: '`proxy`; with `--ca` `sslcacert`',
    trap: 'A `proxy` of a repository wins over it',
    source: 'https://dnf5.readthedocs.io/en/latest/dnf5.conf.5.html',
    proof: 'tried at length',
  },
};
