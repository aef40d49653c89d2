import type { Setting, SettingProgram, Tool } from '../tool.ts';

/** The key: a schema, and a name in it. The value is text of GVariant. */
export const GSETTINGS: SettingProgram = {
  name: 'gsettings',
  readWords: ([schema = '', name = '']) => ['gsettings', 'get', schema, name],
  parse: (printed) => printed.trim() || undefined,
  writeWords: ([schema = '', name = ''], value) => ['gsettings', 'set', schema, name, value],
  removeWords: ([schema = '', name = '']) => ['gsettings', 'reset', schema, name],
};

const DESKTOPS = /(?:^|:)(?:GNOME|Unity|X-Cinnamon|Cinnamon|Budgie|MATE|Pantheon|Deepin|UKUI)(?::|$)/i;
const SCHEMA = 'org.gnome.system.proxy';

export const gnome: Tool = {
  name: 'gnome',
  title: 'GNOME and desktops that store their proxy as GNOME does',
  scope: 'user',
  when: 'found',
  takesPac: true,
  isFound: ({ hasCommand, environment }) =>
    hasCommand('gsettings') && DESKTOPS.test(environment.XDG_CURRENT_DESKTOP ?? ''),
  settings(_machine, { proxy, pacUrl }) {
    const set = (part: string, name: string, value: string): Setting => {
      return { kind: 'program', program: GSETTINGS, key: [`${SCHEMA}${part}`, name], value };
    };
    if (pacUrl !== undefined) return [set('', 'autoconfig-url', text(pacUrl)), set('', 'mode', text('auto'))];
    const at = (part: string) => [set(part, 'host', text(proxy.host)), set(part, 'port', String(proxy.port))];
    return [...at('.http'), ...at('.https'), set('', 'mode', text('manual'))];
  },
  page: {
    place: '`gsettings`, `org.gnome.system.proxy`',
    value: '`autoconfig-url` and `mode`; or `host` and `port` of `http` and `https`',
    trap: 'Chromium, Firefox and most programs of the desktop follow it at once',
    source: 'https://wiki.gnome.org/Projects/NetworkManager/Proxies',
    proof: 'tried',
  },
};

const text = (value: string): string => `'${value.replace(/['\\]/g, '\\$&')}'`;
