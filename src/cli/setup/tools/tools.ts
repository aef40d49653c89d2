import type { SettingProgram, Tool } from '../tool.ts';
import { cargo } from './cargo.ts';
import { conda } from './conda.ts';
import { docker, dockerDaemon, podman } from './containers.ts';
import { curl } from './curl.ts';
import { git } from './git.ts';
import { GSETTINGS, gnome } from './gnome.ts';
import { gradle } from './gradle.ts';
import { jetbrains } from './jetbrains.ts';
import { kde } from './kde.ts';
import { macos, NETWORKSETUP } from './macos.ts';
import { maven } from './maven.ts';
import { npm } from './npm.ts';
import { pip } from './pip.ts';
import { pnpm } from './pnpm.ts';
import { fish, powershell, session, shell } from './shells.ts';
import { ssh } from './ssh.ts';
import { apt, dnf } from './system-packages.ts';
import { uv } from './uv.ts';
import { vscode } from './vscode.ts';
import { wget } from './wget.ts';
import { NETSH, REGISTRY, winhttp, wininet } from './windows.ts';
import { yarn } from './yarn.ts';

/** Every tool that setup knows, in the order in which it is shown. */
export const TOOLS: readonly Tool[] = [
  gnome,
  kde,
  macos,
  wininet,
  shell,
  fish,
  powershell,
  git,
  npm,
  pnpm,
  yarn,
  pip,
  conda,
  cargo,
  maven,
  gradle,
  curl,
  wget,
  vscode,
  jetbrains,
  ssh,
  session,
  uv,
  docker,
  podman,
  apt,
  dnf,
  dockerDaemon,
  winhttp,
];

/** Tools whose setting the proxy itself follows with `--pac system`. */
export const isDesktop = (tool: Tool): boolean => [gnome, kde, macos, wininet].includes(tool);

const PROGRAMS: readonly SettingProgram[] = [GSETTINGS, NETWORKSETUP, REGISTRY, NETSH];

/** The program that a journal names. */
export const programNamed = (name: string): SettingProgram | undefined => PROGRAMS.find((one) => one.name === name);
