import { join } from 'node:path';
import * as z from 'zod';
import { stateFolder } from '../../files/state-folder.ts';
import type { SystemSetting } from './setting.ts';
import type { SystemWorld } from './world.ts';

/** What `viaduct setup` writes when it makes the system's setting lead to a proxy of ours. */
const schema = z.strictObject({
  /** `host:port` of what it has written: never an upstream proxy or a PAC of ours, whichever port we listen on. */
  ours: z.array(z.string()),
  /** The setting before, without logins; absent: there was none. */
  before: z
    .discriminatedUnion('kind', [
      z.strictObject({ kind: z.literal('pac'), url: z.string(), source: z.string() }),
      z.strictObject({
        kind: z.literal('proxies'),
        source: z.string(),
        http: z.string().optional(),
        https: z.string().optional(),
        noProxy: z.array(z.string()),
      }),
    ])
    .optional(),
});
export type BeforeSetup = z.output<typeof schema>;

export const beforeSetupPath = (stateDir: string): string => join(stateDir, 'setup-system.json');

/** `undefined`: setup has not changed the system's setting, or what it wrote cannot be read. */
export async function beforeSetup({ environment, homeFolder, read }: SystemWorld): Promise<BeforeSetup | undefined> {
  const folder = stateFolder({ ...environment, HOME: environment.HOME || homeFolder });
  const file = await read(beforeSetupPath(folder));
  return file && parseBeforeSetup(file.text);
}

export function parseBeforeSetup(text: string): BeforeSetup | undefined {
  try {
    return schema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

/** The setting before, as if the system still had it. */
export function settingBefore({ before }: BeforeSetup, wpad: SystemSetting['wpad']): SystemSetting {
  if (before === undefined) return { kind: 'none', wpad };
  const source = `setup (${before.source} before it)`;
  if (before.kind === 'pac') return { kind: 'pac', url: before.url, source, wpad };
  const { http, https, noProxy } = before;
  return { kind: 'proxies', proxies: { source, http, https, noProxy }, wpad };
}
