import { join } from 'node:path';
import { BLOCK } from '../formats/block.ts';
import type { Tool } from '../tool.ts';

/** Public services that are reached by SSH, for which an office needs its proxy. */
const HOSTS = 'github.com ssh.github.com gitlab.com altssh.gitlab.com bitbucket.org altssh.bitbucket.org';

export const ssh: Tool = {
  name: 'ssh',
  title: 'OpenSSH',
  scope: 'user',
  // A host of the office that is reached directly today would be asked through the proxy.
  when: 'named',
  takesPac: false,
  isFound: ({ hasCommand }) => hasCommand('ssh'),
  settings({ home }, { command, proxy }) {
    const words = [...command, 'connect', '%h', '%p', '--through', proxy.url];
    return [
      {
        kind: 'file',
        path: join(home, '.ssh', 'config'),
        format: BLOCK,
        key: [],
        value: `Host ${HOSTS}\n  ProxyCommand ${words.map(quotedWord).join(' ')}`,
      },
    ];
  },
  advice:
    'Many proxies allow port 443 alone: for GitHub write HostName ssh.github.com and Port 443 below Host github.com. Write other hosts into a block of your own with the same ProxyCommand.',
  page: {
    place: '`~/.ssh/config`, at the end',
    value: '`ProxyCommand … connect %h %p` for public Git services',
    trap: 'Of several values the first in the file counts. Many proxies allow port 443 alone: `ssh.github.com`, `altssh.gitlab.com`, `altssh.bitbucket.org`',
    source: 'https://man.openbsd.org/ssh_config#ProxyCommand',
    proof: 'tried',
  },
};

/** For the shell that starts it; `%` stands for itself only where it is doubled. */
const quotedWord = (word: string): string => (/^[\w./:%@+-]+$/.test(word) ? word : `"${word.replaceAll('"', '\\"')}"`);
