import { suggestion } from '../../config/nearest.ts';
import { redact } from '../../util/redact.ts';
import { UsageError } from '../print.ts';
import type { Machine } from './machine.ts';
import type { Tool } from './tool.ts';
import { TOOLS } from './tools/tools.ts';

const ALIASES: Readonly<Record<string, string>> = {
  bash: 'shell',
  zsh: 'shell',
  sh: 'shell',
  code: 'vscode',
  cursor: 'vscode',
  codium: 'vscode',
  mvn: 'maven',
  mamba: 'conda',
  pwsh: 'powershell',
  intellij: 'jetbrains',
  windows: 'wininet',
  buildah: 'podman',
  dockerd: 'docker-daemon',
  openssh: 'ssh',
};

/** The tools of these names. Throws UsageError for a name that is unknown, or of another scope. */
export function namedTools(names: readonly string[], scope: Tool['scope']): readonly Tool[] {
  return names.map((name) => {
    const tool = TOOLS.find((one) => one.name === (ALIASES[name] ?? name));
    if (tool === undefined) {
      const known = TOOLS.map((one) => one.name);
      throw new UsageError(
        `${redact(name)} is no tool that setup knows${suggestion(name, known)}; viaduct setup --list shows all`,
      );
    }
    if (tool.scope !== scope) {
      throw new UsageError(
        tool.scope === 'system'
          ? `${tool.name} belongs to the system: viaduct setup ${tool.name} --scope system`
          : `${tool.name} belongs to the user: viaduct setup ${tool.name}`,
      );
    }
    return tool;
  });
}

/** Those that are here and are set up without being named. */
export const foundTools = (machine: Machine, scope: Tool['scope']): readonly Tool[] =>
  TOOLS.filter((tool) => tool.scope === scope && tool.when === 'found' && tool.isFound(machine));
