import { join } from 'node:path';
import { LOCAL_HOSTS } from '../../env/variables.ts';
import { jsonText } from '../formats/json.ts';
import { TOML } from '../formats/toml.ts';
import type { Setting, Tool } from '../tool.ts';

export const uv: Tool = {
  name: 'uv',
  title: 'uv',
  scope: 'user',
  // Before these keys came (December 2025) uv refuses a file that has them, and every command with it.
  when: 'named',
  takesPac: false,
  isFound: ({ hasCommand }) => hasCommand('uv'),
  settings({ platform, environment, home, configHome }, { proxy }) {
    const folder = platform === 'win32' ? environment.APPDATA || join(home, 'AppData', 'Roaming') : configHome;
    // On macOS too it is below ~/.config.
    const set = (name: string, value: string, existing: 'keep' | 'replace' = 'replace'): Setting => {
      return { kind: 'file', path: join(folder, 'uv', 'uv.toml'), format: TOML, key: [name], value, existing };
    };
    return [
      set('http-proxy', jsonText(proxy.url)),
      set('https-proxy', jsonText(proxy.url)),
      set('no-proxy', jsonText(LOCAL_HOSTS), 'keep'),
    ];
  },
  advice: 'Versions of uv before December 2025 refuse this file; they follow the variables of the shell.',
  page: {
    place: '`~/.config/uv/uv.toml` (Windows: `%APPDATA%\\uv\\uv.toml`)',
    value: '`http-proxy`, `https-proxy`, and `no-proxy` where there is none',
    trap: 'Only where the variables of the shell do not reach it: versions before December 2025 refuse the file. `SSL_CERT_FILE` takes the place of all of its roots; `UV_SYSTEM_CERTS=true` uses those of the system',
    source: 'https://docs.astral.sh/uv/reference/settings/',
    proof: 'compared',
  },
};
