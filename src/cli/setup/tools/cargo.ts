import { join } from 'node:path';
import { jsonText } from '../formats/json.ts';
import { TOML } from '../formats/toml.ts';
import type { Setting, Tool } from '../tool.ts';

export const cargo: Tool = {
  name: 'cargo',
  title: 'Cargo',
  scope: 'user',
  when: 'found',
  takesPac: false,
  isFound: ({ hasCommand }) => hasCommand('cargo'),
  settings({ environment, home, exists }, { proxy, caFile }) {
    const folder = environment.CARGO_HOME || join(home, '.cargo');
    // Where both exist Cargo reads the one without an ending.
    const path = exists(join(folder, 'config')) ? join(folder, 'config') : join(folder, 'config.toml');
    const set = (name: string, text: string): Setting => {
      return { kind: 'file', path, format: TOML, key: ['http', name], value: jsonText(text) };
    };
    return [set('proxy', proxy.url), ...(caFile === undefined ? [] : [set('cainfo', caFile)])];
  },
  // The registry is named, since a mirror that takes its place is not searched.
  probe: () => ['cargo', 'search', '--config', 'net.retry=0', '--registry', 'crates-io', '--limit', '1', 'cargo'],
  page: {
    place: '`~/.cargo/config.toml`, `[http]`',
    value: '`proxy`; with `--ca` `cainfo`',
    trap: 'rustup reads the variables of the shell instead',
    source: 'https://doc.rust-lang.org/cargo/reference/config.html#httpproxy',
    proof: 'tried',
  },
};
