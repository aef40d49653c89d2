import { join } from 'node:path';
import { jsonText } from '../formats/json.ts';
import { YARNRC } from '../formats/lines.ts';
import { YAML } from '../formats/yaml.ts';
import type { Setting, Tool } from '../tool.ts';

export const yarn: Tool = {
  name: 'yarn',
  title: 'Yarn 1 and 2+',
  scope: 'user',
  when: 'found',
  takesPac: false,
  isFound: ({ hasCommand }) => hasCommand('yarn') || hasCommand('yarnpkg'),
  settings({ home, environment }, { proxy, caFile }) {
    const value = jsonText(proxy.url);
    const classic = (name: string): Setting => {
      return { kind: 'file', path: join(home, '.yarnrc'), format: YARNRC, key: [name], value };
    };
    const modern = (name: string, text: string): Setting => {
      const path = join(home, environment.YARN_RC_FILENAME || '.yarnrc.yml');
      return { kind: 'file', path, format: YAML, key: [name], value: text };
    };
    return [
      classic('proxy'),
      classic('https-proxy'),
      modern('httpProxy', value),
      modern('httpsProxy', value),
      ...(caFile === undefined ? [] : [modern('httpsCaFilePath', jsonText(caFile))]),
    ];
  },
  page: {
    place: '`~/.yarnrc` (Yarn 1) and `~/.yarnrc.yml` (2 and later)',
    value: '`proxy`, `https-proxy`; `httpProxy`, `httpsProxy`; with `--ca` `httpsCaFilePath` (4 and later)',
    trap: 'Yarn 2 and later has no exceptions: a registry on this machine is asked through the proxy too. It ignores `HTTP_PROXY`',
    source: 'https://yarnpkg.com/configuration/yarnrc#httpProxy',
    proof: 'tried',
  },
};
