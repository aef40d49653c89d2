import { join } from 'node:path';
import { XML, xmlText } from '../formats/xml.ts';
import type { Machine } from '../machine.ts';
import type { Setting, Tool } from '../tool.ts';
import { appFolder } from './paths.ts';

const products = (machine: Machine): readonly string[] => {
  const folder = appFolder(machine, 'JetBrains');
  const isProduct = (name: string) => /^[A-Z][A-Za-z]+20\d\d\.\d$/.test(name);
  return machine
    .list(folder)
    .filter(isProduct)
    .map((name) => join(folder, name));
};

export const jetbrains: Tool = {
  name: 'jetbrains',
  title: 'JetBrains IDEs',
  scope: 'user',
  when: 'found',
  takesPac: true,
  isFound: (machine) => products(machine).length > 0,
  settings(machine, { proxy, pacUrl }) {
    return products(machine).flatMap((folder): Setting[] => {
      const set = (name: string, text: string): Setting => ({
        kind: 'file',
        path: join(folder, 'options', 'proxy.settings.xml'),
        format: XML,
        key: ['application', 'component@name=HttpConfigurable', `option@name=${name}`],
        value: `<option name="${name}" value="${xmlText(text)}" />`,
      });
      if (pacUrl !== undefined) {
        return [set('USE_PROXY_PAC', 'true'), set('USE_PAC_URL', 'true'), set('PAC_URL', pacUrl)];
      }
      return [
        set('USE_HTTP_PROXY', 'true'),
        set('PROXY_HOST', proxy.host),
        set('PROXY_PORT', String(proxy.port)),
        set('PROXY_EXCEPTIONS', 'localhost,127.0.0.1'),
      ];
    });
  },
  blocked: (machine) =>
    products(machine).some((folder) => machine.exists(join(folder, '.lock')))
      ? 'an IDE of JetBrains runs, and would write its own settings over these; close it first'
      : undefined,
  page: {
    place: '`options/proxy.settings.xml` of each IDE',
    value: '`USE_PROXY_PAC`, `USE_PAC_URL`, `PAC_URL`; or `USE_HTTP_PROXY`, `PROXY_HOST`, `PROXY_PORT`',
    trap: 'Written only while no IDE runs. By default an IDE follows the proxy of the desktop',
    source: 'https://www.jetbrains.com/help/idea/settings-http-proxy.html',
    proof: 'compared',
  },
};
