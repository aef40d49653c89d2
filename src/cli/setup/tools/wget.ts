import { join } from 'node:path';
import { WGETRC } from '../formats/lines.ts';
import type { Setting, Tool } from '../tool.ts';
import { LOCAL } from './paths.ts';

export const wget: Tool = {
  name: 'wget',
  title: 'Wget',
  scope: 'user',
  when: 'found',
  takesPac: false,
  isFound: ({ hasCommand }) => hasCommand('wget'),
  settings({ environment, home }, { proxy, caFile }) {
    const path = environment.WGETRC || join(home, '.wgetrc');
    const set = (name: string, value: string, existing: 'keep' | 'replace' = 'replace'): Setting => {
      return { kind: 'file', path, format: WGETRC, key: [name], value, existing };
    };
    return [
      set('http_proxy', proxy.url),
      set('https_proxy', proxy.url),
      set('no_proxy', LOCAL, 'keep'),
      ...(caFile === undefined ? [] : [set('ca_certificate', caFile)]),
    ];
  },
  probe: (url) => ['wget', '-nv', '-O', '/dev/null', '--tries=1', '--timeout=15', url],
  page: {
    place: '`~/.wgetrc`',
    value: '`http_proxy`, `https_proxy`, and `no_proxy` where there is none; with `--ca` `ca_certificate`',
    trap: 'It wins over the variables of the shell',
    source: 'https://www.gnu.org/software/wget/manual/html_node/Wgetrc-Commands.html',
    proof: 'tried',
  },
};
