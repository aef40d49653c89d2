import { join } from 'node:path';
import { JAVA_LOCAL_HOSTS } from '../../env/variables.ts';
import { XML, xmlText } from '../formats/xml.ts';
import type { Setting, Tool } from '../tool.ts';

export const maven: Tool = {
  name: 'maven',
  title: 'Maven',
  scope: 'user',
  when: 'found',
  takesPac: false,
  isFound: ({ hasCommand }) => hasCommand('mvn'),
  settings({ home }, { proxy }) {
    const entry = (protocol: 'http' | 'https'): Setting => {
      const id = `viaduct-${protocol}`;
      const facts = [
        ['id', id],
        ['active', 'true'],
        ['protocol', protocol],
        ['host', proxy.host],
        ['port', String(proxy.port)],
        ['nonProxyHosts', JAVA_LOCAL_HOSTS],
      ] as const;
      const lines = facts.map(([name, text]) => `  <${name}>${xmlText(text)}</${name}>`);
      return {
        kind: 'file',
        path: join(home, '.m2', 'settings.xml'),
        format: XML,
        key: ['settings', 'proxies', `proxy#id=${id}`],
        value: ['<proxy>', ...lines, '</proxy>'].join('\n'),
      };
    };
    return [entry('http'), entry('https')];
  },
  page: {
    place: '`~/.m2/settings.xml`, `<proxies>`',
    value: 'a `<proxy>` for each protocol, before those that are there',
    trap: 'The first active one of a protocol counts. `--ca` does not reach Java: see its trust store in the page',
    source: 'https://maven.apache.org/guides/mini/guide-proxies.html',
    proof: 'tried',
  },
};
