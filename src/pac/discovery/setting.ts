import type { SystemProxies } from '../script.ts';

/** The proxy setting of the system. `source` names it in messages: `GNOME`, `environment`, … */
export type SystemSetting =
  | { readonly kind: 'pac'; readonly url: string; readonly source: string; readonly wpad: Wpad }
  | { readonly kind: 'proxies'; readonly proxies: SystemProxies; readonly wpad: Wpad }
  | { readonly kind: 'none'; readonly wpad: Wpad };
/** Whether the settings ask to look for a PAC on the network first ("detect automatically"). */
export type Wpad = 'wanted' | 'unmentioned';

export const NO_SETTING: SystemSetting = { kind: 'none', wpad: 'unmentioned' };
