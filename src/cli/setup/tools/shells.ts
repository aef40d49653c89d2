import { join } from 'node:path';
import { ENV_SHELLS } from '../../env/shells.ts';
import { javaVariable, proxyVariables, type Variable } from '../../env/variables.ts';
import { BLOCK, WHOLE } from '../formats/block.ts';
import type { Machine } from '../machine.ts';
import type { Setting, Tool, Wanted } from '../tool.ts';

/** Variables for programs that a shell starts. What the environment says now is not asked: it may change. */
function lines({ proxy, caFile }: Wanted, line: (variable: Variable) => string, platform: NodeJS.Platform): string {
  const roots =
    caFile === undefined
      ? []
      : [
          'NODE_EXTRA_CA_CERTS',
          'SSL_CERT_FILE',
          'REQUESTS_CA_BUNDLE',
          'CURL_CA_BUNDLE',
          'AWS_CA_BUNDLE',
          'DENO_CERT',
        ].map((name) => ({ name, value: caFile }));
  return [...proxyVariables(proxy, {}, platform), ...roots].map(line).join('\n');
}

/** Exceptions that the user's own profile has set stay: they would be lost when ours is read after it. */
const KEPT: Readonly<Record<string, (value: string) => string>> = {
  no_proxy: (value) => `export no_proxy="\${no_proxy:-\${NO_PROXY:-${value}}}"`,
  NO_PROXY: () => `export NO_PROXY="\${NO_PROXY:-$no_proxy}"`,
};

const shLine = (variable: Variable): string => KEPT[variable.name]?.(variable.value) ?? ENV_SHELLS.sh(variable);

/** Those that exist, and that of zsh where it is the shell of the user: it reads no other. Else the one that logins read. */
function profiles({ home, environment, exists }: Machine): readonly string[] {
  const zshrc = join(environment.ZDOTDIR || home, '.zshrc');
  const found = ['.profile', '.bash_profile', '.bashrc'].map((name) => join(home, name)).filter(exists);
  const isZsh = /(?:^|\/)zsh$/.test(environment.SHELL ?? '');
  if (isZsh || exists(zshrc)) found.push(zshrc);
  return found.length > 0 ? found : [join(home, '.profile')];
}

export const shell: Tool = {
  name: 'shell',
  title: 'sh, bash, zsh',
  scope: 'user',
  when: 'found',
  takesPac: false,
  isFound: ({ platform }) => platform !== 'win32',
  settings(machine, wanted): readonly Setting[] {
    const path = join(machine.configHome, 'viaduct', 'env.sh');
    const quoted = `'${path.replaceAll("'", `'\\''`)}'`;
    // The comment takes the `\r` of a file with such line ends, which a shell would else read as a part of the last word.
    const source = `if [ -r ${quoted} ]; then . ${quoted}; fi # viaduct setup --undo shell removes this`;
    const variables: Setting = {
      kind: 'file',
      path,
      format: WHOLE,
      key: [],
      value: `# Written by viaduct setup; viaduct setup --undo shell removes it.\n${lines(wanted, shLine, machine.platform)}\n`,
    };
    const blocks = profiles(machine).map((file): Setting => {
      return { kind: 'file', path: file, format: BLOCK, key: [], value: source };
    });
    return [variables, ...blocks];
  },
  advice: 'Shells that run already keep their variables; open another one.',
  page: {
    place:
      '`~/.config/viaduct/env.sh`, read by `.profile`, `.bash_profile`, `.bashrc` and `.zshrc` (`$ZDOTDIR`) where they exist',
    value: 'the variables of `viaduct env`; with `--ca` those that name root certificates',
    trap: 'sudo drops them. A `no_proxy` of your own stays. `SSL_CERT_FILE`, `REQUESTS_CA_BUNDLE`, `CURL_CA_BUNDLE` and `AWS_CA_BUNDLE` take the place of a program’s own roots, `NODE_EXTRA_CA_CERTS` and `DENO_CERT` add to them',
    source: 'https://everything.curl.dev/usingcurl/proxies/env.html',
    proof: 'tried',
  },
};

export const fish: Tool = {
  name: 'fish',
  title: 'fish',
  scope: 'user',
  when: 'found',
  takesPac: false,
  isFound: ({ hasCommand }) => hasCommand('fish'),
  settings({ configHome, platform }, wanted) {
    const path = join(configHome, 'fish', 'conf.d', 'viaduct.fish');
    return [{ kind: 'file', path, format: WHOLE, key: [], value: `${lines(wanted, ENV_SHELLS.fish, platform)}\n` }];
  },
  page: {
    place: '`~/.config/fish/conf.d/viaduct.fish`',
    value: 'the variables of `viaduct env`',
    trap: 'As for other shells',
    source: 'https://fishshell.com/docs/current/language.html#configuration',
    proof: 'tried',
  },
};

export const powershell: Tool = {
  name: 'powershell',
  title: 'PowerShell 7',
  scope: 'user',
  when: 'found',
  takesPac: false,
  isFound: ({ hasCommand }) => hasCommand('pwsh'),
  settings({ platform, home, configHome }, wanted) {
    const folder = platform === 'win32' ? join(home, 'Documents', 'PowerShell') : join(configHome, 'powershell');
    const path = join(folder, 'profile.ps1');
    return [{ kind: 'file', path, format: BLOCK, key: [], value: lines(wanted, ENV_SHELLS.pwsh, platform) }];
  },
  page: {
    place: '`profile.ps1` of all hosts of the user',
    value: 'the variables of `viaduct env`',
    trap: 'Windows PowerShell 5.1 ignores the variables and follows the setting of Windows',
    source: 'https://learn.microsoft.com/powershell/module/microsoft.powershell.core/about/about_profiles',
    proof: 'compared',
  },
};

export const session: Tool = {
  name: 'session',
  title: 'systemd user session',
  scope: 'user',
  // Every program of the next login has them, also while no proxy runs.
  when: 'named',
  takesPac: false,
  isFound: ({ platform, hasCommand }) => platform === 'linux' && hasCommand('systemctl'),
  settings({ configHome }, { proxy }) {
    const values = [...proxyVariables(proxy, {}, 'linux'), javaVariable(proxy, {})];
    const value = values.map((one) => `${one.name}="${one.value.replace(/["\\$]/g, '\\$&')}"\n`).join('');
    return [
      { kind: 'file', path: join(configHome, 'environment.d', '60-viaduct.conf'), format: WHOLE, key: [], value },
    ];
  },
  advice: 'It holds from the next login on.',
  page: {
    place: '`~/.config/environment.d/60-viaduct.conf`',
    value: 'the variables of `viaduct env`, and `JAVA_TOOL_OPTIONS`',
    trap: 'Holds from the next login on, for everything that the session starts',
    source: 'https://www.freedesktop.org/software/systemd/man/latest/environment.d.html',
    proof: 'read',
  },
};
