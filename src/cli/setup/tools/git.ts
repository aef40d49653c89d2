import { join } from 'node:path';
import { GIT_CONFIG } from '../formats/lines.ts';
import type { Machine } from '../machine.ts';
import type { Setting, Tool } from '../tool.ts';

export const git: Tool = {
  name: 'git',
  title: 'Git',
  scope: 'user',
  when: 'found',
  takesPac: false,
  isFound: (machine) => machine.hasCommand('git'),
  settings(machine, { proxy, caFile }): readonly Setting[] {
    const path = configFile(machine);
    const set = (name: string, value: string): Setting => {
      return { kind: 'file', path, format: GIT_CONFIG, key: ['http', name], value };
    };
    return [set('proxy', proxy.url), ...(caFile === undefined ? [] : [set('sslCAInfo', gitText(caFile))])];
  },
  probe: () => ['git', '-c', 'credential.helper=', 'ls-remote', 'https://github.com/git/git.git', 'HEAD'],
  page: {
    place: '`~/.gitconfig`, `[http]`',
    value: '`proxy`; with `--ca` `sslCAInfo`',
    trap: '`remote.NAME.proxy` and `http.URL.proxy` win over it. Remotes of `ssh:` do not use it: see ssh',
    source: 'https://git-scm.com/docs/git-config#Documentation/git-config.txt-httpproxy',
    proof: 'tried',
  },
};

/** Git reads both of its files, and writes into `~/.gitconfig` where that exists; there a value wins. */
function configFile({ environment, home, configHome, exists }: Machine): string {
  if (environment.GIT_CONFIG_GLOBAL) return environment.GIT_CONFIG_GLOBAL;
  const [usual, other] = [join(home, '.gitconfig'), join(configHome, 'git', 'config')];
  return exists(usual) || !exists(other) ? usual : other;
}

const gitText = (text: string): string => `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;
