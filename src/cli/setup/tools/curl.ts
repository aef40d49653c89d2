import { join } from 'node:path';
import { CURLRC } from '../formats/lines.ts';
import type { Setting, Tool } from '../tool.ts';
import { LOCAL } from './paths.ts';

export const curl: Tool = {
  name: 'curl',
  title: 'curl',
  scope: 'user',
  when: 'found',
  takesPac: false,
  isFound: ({ hasCommand }) => hasCommand('curl'),
  settings({ platform, environment, home, exists, configHome }, { proxy, caFile }) {
    const folder = environment.CURL_HOME || home;
    const usual = join(folder, platform === 'win32' ? '_curlrc' : '.curlrc');
    // The first file that exists is read, and no other (curl 7.73).
    const other = join(configHome, 'curlrc');
    const path = exists(other) && !exists(usual) ? other : usual;
    const set = (name: string, text: string, existing: 'keep' | 'replace' = 'replace'): Setting => {
      return { kind: 'file', path, format: CURLRC, key: [name], value: JSON.stringify(text), existing };
    };
    return [
      set('proxy', proxy.url),
      set('noproxy', LOCAL, 'keep'),
      ...(caFile === undefined ? [] : [set('cacert', caFile)]),
    ];
  },
  probe: (url) => ['curl', '-sS', '--head', '--max-time', '15', url],
  page: {
    place: '`~/.curlrc` (Windows: `%USERPROFILE%\\_curlrc`)',
    value: '`proxy`, and `noproxy` where there is none; with `--ca` `cacert`',
    trap: 'Programs that use libcurl do not read it. `noproxy` takes the place of the variable `NO_PROXY`',
    source: 'https://curl.se/docs/manpage.html#-K',
    proof: 'tried',
  },
};
