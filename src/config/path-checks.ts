import { statSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { quoted, redact } from '../util/redact.ts';
import type { Config } from './config.ts';
import { suggestion } from './nearest.ts';
import type { Path, Problem } from './problems.ts';
import { isPacPath, PAC_WORDS } from './routes.ts';

/**
 * Paths that cannot be meant: of a file to read that is not there, of a file to write in a folder that is not there, of a
 * folder in place of a file. Whether this user may write is not asked: `check` may run as another one than the proxy.
 */
export function checkPaths({ routes, log, limits, listen }: Config): Problem[] {
  const sockets = listen.flatMap((one) => (one.kind === 'unix' ? [one.path] : []));
  return [
    ...checkPacFile(routes.pac),
    ...(log.file === undefined ? [] : checkWritableFile(['log', 'file'], log.file)),
    // Its folder is made when it is first written.
    ...(limits.state !== undefined && kindAt(limits.state) === 'folder'
      ? [{ path: ['limits', 'state'], message: `${redact(limits.state)} is a folder; write the path of a file` }]
      : []),
    ...sockets.flatMap((path) => checkWritableFile(['listen'], path)),
  ];
}

/** A PAC on disk is there or it is misspelt; one on the network may come later. */
function checkPacFile(pac: string): Problem[] {
  const path = ['routes', 'pac'];
  const isUrl = /^file:/i.test(pac);
  if (!isUrl && !isPacPath(pac)) return [];
  try {
    const file = isUrl ? fileURLToPath(pac) : pac;
    const kind = kindAt(file);
    if (kind === 'folder') return [{ path, message: `${redact(file)} is a folder; write the path of a PAC` }];
    if (kind === 'other') return [];
    return [{ path, message: `there is no file ${redact(file)}${suggestion(file, PAC_WORDS)}` }];
  } catch {
    return [{ path, message: `${quoted(pac)} is not a file of this machine; write file:///PATH` }];
  }
}

function checkWritableFile(path: Path, file: string): Problem[] {
  if (kindAt(file) === 'folder') {
    return [{ path, message: `${redact(file)} is a folder; write the path of a file in it` }];
  }
  const folder = dirname(file);
  if (kindAt(folder) !== 'nothing') return [];
  return [{ path, message: `${redact(file)} cannot be written: there is no folder ${redact(folder)}; make it first` }];
}

type Kind = 'folder' | 'other' | 'nothing';

/** What this user may not look at may be there. */
function kindAt(path: string): Kind {
  try {
    return statSync(path).isDirectory() ? 'folder' : 'other';
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    return code === 'ENOENT' || code === 'ENOTDIR' ? 'nothing' : 'other';
  }
}
