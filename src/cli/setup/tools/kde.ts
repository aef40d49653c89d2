import { join } from 'node:path';
import { KCONFIG } from '../formats/lines.ts';
import type { Setting, Tool } from '../tool.ts';

export const kde: Tool = {
  name: 'kde',
  title: 'KDE Plasma',
  scope: 'user',
  when: 'found',
  takesPac: true,
  isFound: ({ environment }) => /(?:^|:)KDE(?::|$)/i.test(environment.XDG_CURRENT_DESKTOP ?? ''),
  settings({ configHome }, { proxy, pacUrl }) {
    const set = (name: string, value: string): Setting => {
      const path = join(configHome, 'kioslaverc');
      return { kind: 'file', path, format: KCONFIG, key: ['Proxy Settings', name], value };
    };
    if (pacUrl !== undefined) return [set('Proxy Config Script', pacUrl), set('ProxyType', '2')];
    const address = `http://${proxy.host} ${proxy.port}`;
    return [set('httpProxy', address), set('httpsProxy', address), set('ProxyType', '1')];
  },
  advice: 'Programs that run already follow it when they are started again.',
  page: {
    place: '`~/.config/kioslaverc`, `[Proxy Settings]`',
    value: '`ProxyType` and `Proxy Config Script`; or `httpProxy`, `httpsProxy`',
    trap: 'A space stands before the port. Programs that run already keep what they have read',
    source: 'https://docs.kde.org/stable5/en/kio-extras/kcontrol/proxy/',
    proof: 'read',
  },
};
