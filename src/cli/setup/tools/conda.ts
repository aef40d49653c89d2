import { join } from 'node:path';
import { jsonText } from '../formats/json.ts';
import { YAML } from '../formats/yaml.ts';
import type { Setting, Tool } from '../tool.ts';

export const conda: Tool = {
  name: 'conda',
  title: 'conda, mamba',
  scope: 'user',
  when: 'found',
  takesPac: false,
  isFound: ({ hasCommand }) => ['conda', 'mamba', 'micromamba'].some(hasCommand),
  settings({ home, environment }, { proxy, caFile }) {
    const set = (key: readonly string[], text: string): Setting => {
      const path = environment.CONDARC || join(home, '.condarc');
      return { kind: 'file', path, format: YAML, key, value: jsonText(text) };
    };
    return [
      set(['proxy_servers', 'http'], proxy.url),
      set(['proxy_servers', 'https'], proxy.url),
      ...(caFile === undefined ? [] : [set(['ssl_verify'], caFile)]),
    ];
  },
  page: {
    place: '`~/.condarc`, `proxy_servers`',
    value: '`http`, `https`; with `--ca` `ssl_verify`',
    trap: 'The keys name the traffic; both have a proxy of `http://`',
    source: 'https://docs.conda.io/projects/conda/en/stable/user-guide/configuration/settings.html#proxy-servers',
    proof: 'compared',
  },
};
