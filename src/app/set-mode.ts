import type { Modes } from '../admin/controlled-proxy.ts';
import { isExposed } from '../clients/options.ts';
import type { Config } from '../config/config.ts';
import { type ModeSwitch, modesOf } from '../routing/mode-switch.ts';

/** `routes`: of the configuration; `hook`: of the program around the proxy. */
export const modesIn = ({ state }: ModeSwitch, { routes, listen }: Config, decidedBy: 'routes' | 'hook'): Modes => ({
  ...state,
  available: decidedBy === 'hook' ? [] : modesOf(routes),
  serves: listen.some(isExposed) ? 'exposed' : 'local',
});
