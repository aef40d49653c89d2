import type { Variable } from './variables.ts';

/** How shells set a variable. */
export const ENV_SHELLS = {
  sh: ({ name, value }) => `export ${name}='${value.replaceAll("'", `'\\''`)}'`,
  fish: ({ name, value }) => `set -gx ${name} '${value.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`,
  pwsh: ({ name, value }) => `$Env:${name} = '${value.replaceAll("'", "''")}'`,
  cmd: ({ name, value }) => `set "${name}=${value.replaceAll('%', '%%')}"`,
} as const satisfies Readonly<Record<string, (variable: Variable) => string>>;

export type EnvShell = keyof typeof ENV_SHELLS;

export const isEnvShell = (name: string): name is EnvShell => Object.hasOwn(ENV_SHELLS, name);

const ALIASES: Readonly<Record<string, EnvShell>> = {
  bash: 'sh',
  zsh: 'sh',
  dash: 'sh',
  ksh: 'sh',
  powershell: 'pwsh',
};

/** The shell of a name or of a path to one; `undefined`: unknown. */
export function envShell(text: string): EnvShell | undefined {
  const name = (text.split(/[\\/]/).at(-1) ?? '').replace(/\.exe$/i, '').toLowerCase();
  return isEnvShell(name) ? name : ALIASES[name];
}
