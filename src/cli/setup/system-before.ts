import { rmSync } from 'node:fs';
import { readFileBounded } from '../../files/read-file.ts';
import { replaceFile } from '../../files/replace-file.ts';
import { type BeforeSetup, beforeSetupPath, parseBeforeSetup } from '../../pac/discovery/before-setup.ts';
import type { SystemSetting } from '../../pac/discovery/setting.ts';

const BYTES_MAX = 256 * 1024;

/** What the system said before setup made it lead to a proxy of ours; `undefined`: setup has not. */
export function readSystemBefore(stateDir: string): BeforeSetup | undefined {
  try {
    return parseBeforeSetup(
      readFileBounded(beforeSetupPath(stateDir), { bytesMax: BYTES_MAX, pipes: 'refuse' }).toString('utf8'),
    );
  } catch {
    return undefined;
  }
}

/** `ours`: `host:port` of a proxy that the system is about to lead to; `setting` is what the system says now. */
export function keepSystemBefore(stateDir: string, ours: string, setting: SystemSetting): void {
  const known = readSystemBefore(stateDir);
  const all = [...new Set([...(known?.ours ?? []), ours])];
  const before = known?.before ?? writtenBefore(setting, all);
  replaceFile(
    beforeSetupPath(stateDir),
    `${JSON.stringify({ ours: all, ...(before && { before }) } satisfies BeforeSetup, null, 1)}\n`,
  );
}

/** The system has its own setting again. */
export const forgetSystemBefore = (stateDir: string): void => rmSync(beforeSetupPath(stateDir), { force: true });

/** The URL of a PAC, or the proxies, as a person reads them. */
export function shownBefore({ before }: BeforeSetup): string | undefined {
  if (before === undefined) return undefined;
  return before.kind === 'pac' ? before.url : [...new Set([before.http, before.https])].filter(Boolean).join(', ');
}

function writtenBefore(setting: SystemSetting, ours: readonly string[]): BeforeSetup['before'] {
  if (setting.kind === 'none') return undefined;
  if (setting.kind === 'pac') {
    const isOurs = ours.includes(URL.parse(setting.url)?.host ?? '');
    return isOurs ? undefined : { kind: 'pac', url: withoutLogin(setting.url), source: setting.source };
  }
  const { source, http, https, noProxy } = setting.proxies;
  // Variables of the shell are no setting of the system, and setup does not replace them here.
  if (source === 'environment') return undefined;
  const other = (url: string | undefined) =>
    url === undefined || ours.includes(URL.parse(url)?.host ?? '') ? undefined : withoutLogin(url);
  const [otherHttp, otherHttps] = [other(http), other(https)];
  if (otherHttp === undefined && otherHttps === undefined) return undefined;
  return {
    kind: 'proxies',
    source,
    ...(otherHttp !== undefined && { http: otherHttp }),
    ...(otherHttps !== undefined && { https: otherHttps }),
    noProxy: [...noProxy],
  };
}

/** A password is never written. */
function withoutLogin(text: string): string {
  return text.replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/@]*@/i, '$1');
}
