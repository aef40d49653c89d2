import { join } from 'node:path';
import { LOCAL_HOSTS } from '../../env/variables.ts';
import { JSON_FORMAT, jsonText } from '../formats/json.ts';
import type { Machine } from '../machine.ts';
import type { Setting, Tool } from '../tool.ts';
import { appFolder } from './paths.ts';

const EDITORS = ['Code', 'Code - Insiders', 'VSCodium', 'Cursor', 'Windsurf'];

const folders = (machine: Machine): readonly string[] =>
  EDITORS.map((name) => join(appFolder(machine, name), 'User')).filter(machine.exists);

export const vscode: Tool = {
  name: 'vscode',
  title: 'VS Code, VSCodium, Cursor, Windsurf',
  scope: 'user',
  when: 'found',
  takesPac: false,
  isFound: (machine) => folders(machine).length > 0,
  settings(machine, { proxy }) {
    return folders(machine).flatMap((folder): Setting[] => {
      const set = (name: string, value: string, existing: 'keep' | 'replace'): Setting => {
        const path = join(folder, 'settings.json');
        return { kind: 'file', path, format: JSON_FORMAT, key: [name], value, existing };
      };
      return [
        set('http.proxy', jsonText(proxy.url), 'replace'),
        set('http.noProxy', jsonText([...LOCAL_HOSTS]), 'keep'),
      ];
    });
  },
  advice: 'Remote hosts and dev containers of VS Code have settings of their own.',
  page: {
    place: '`settings.json` of the user',
    value: '`http.proxy`, and `http.noProxy` where there is none',
    trap: 'The window itself follows the proxy of the desktop. Remote hosts and dev containers have settings of their own',
    source: 'https://code.visualstudio.com/docs/setup/network',
    proof: 'read',
  },
};
