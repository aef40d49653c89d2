import { environmentSetting } from './environment.ts';
import { gnomeSetting } from './gnome.ts';
import { kdeSetting } from './kde.ts';
import { macosSetting } from './macos.ts';
import type { SystemSetting } from './setting.ts';
import { windowsSetting } from './windows.ts';
import type { SystemWorld } from './world.ts';

/** The setting of the desktop or the system; where there is none, that of the environment. */
export async function systemSetting(world: SystemWorld): Promise<SystemSetting> {
  const set = await desktopSetting(world);
  if (set.kind !== 'none') return set;
  return { ...environmentSetting(world.environment), wpad: set.wpad };
}

async function desktopSetting(world: SystemWorld): Promise<SystemSetting> {
  if (world.platform === 'darwin') return macosSetting(world);
  if (world.platform === 'win32') return windowsSetting(world);
  const gnome = await gnomeSetting(world);
  return gnome.kind === 'none' ? kdeSetting(world) : gnome;
}
