import type { Machine } from '../machine.ts';
import type { Setting, SettingProgram, Tool } from '../tool.ts';

const READS: Readonly<Record<string, string>> = {
  pac: '-getautoproxyurl',
  http: '-getwebproxy',
  https: '-getsecurewebproxy',
};

/** The key: a network service, and what is set for it. */
export const NETWORKSETUP: SettingProgram = {
  name: 'networksetup',
  readWords: ([service = '', what = '']) => ['networksetup', READS[what] ?? '', service],
  parse(printed, [, what]) {
    const field = (name: string) => new RegExp(`^${name}: (.*)$`, 'm').exec(printed)?.[1]?.trim();
    if (field('Enabled') !== 'Yes') return undefined;
    return what === 'pac' ? field('URL') : `${field('Server')}:${field('Port')}`;
  },
  writeWords: ([service = '', what = ''], value) => {
    if (what === 'pac') return ['networksetup', '-setautoproxyurl', service, value];
    const colon = value.lastIndexOf(':');
    const flag = what === 'https' ? '-setsecurewebproxy' : '-setwebproxy';
    return ['networksetup', flag, service, value.slice(0, colon), value.slice(colon + 1)];
  },
  removeWords: ([service = '', what = '']) => [
    'networksetup',
    what === 'pac' ? '-setautoproxystate' : what === 'https' ? '-setsecurewebproxystate' : '-setwebproxystate',
    service,
    'off',
  ],
};

/** The first line explains the rest; a star marks a service that is off. */
async function services(machine: Machine): Promise<readonly string[]> {
  const { out } = await machine.run(['networksetup', '-listallnetworkservices']);
  return out
    .split('\n')
    .slice(1)
    .filter((name) => name !== '' && !name.startsWith('*'));
}

export const macos: Tool = {
  name: 'macos',
  title: 'macOS network services',
  scope: 'user',
  when: 'found',
  takesPac: true,
  isFound: ({ platform }) => platform === 'darwin',
  async settings(machine, { proxy, pacUrl }) {
    return (await services(machine)).flatMap((service): Setting[] => {
      const set = (what: string, value: string): Setting => {
        return { kind: 'program', program: NETWORKSETUP, key: [service, what], value };
      };
      if (pacUrl !== undefined) return [set('pac', pacUrl)];
      const address = `${proxy.host}:${proxy.port}`;
      return [set('http', address), set('https', address)];
    });
  },
  advice: 'A network service that is added later, such as a dock, is not covered: run setup again.',
  page: {
    place: '`networksetup`, each network service',
    value: '`-setautoproxyurl`; or `-setwebproxy`, `-setsecurewebproxy`',
    trap: 'Services that are added later (a dock, a VPN) are not covered. macOS may ask for an administrator',
    source: 'https://support.apple.com/guide/remote-desktop/about-networksetup-apdd0c5a2d5/mac',
    proof: 'compared',
  },
};
