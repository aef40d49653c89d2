import { X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import { getCACertificates } from 'node:tls';
import { FileError } from '../../files/file-terms.ts';
import { readFileBounded } from '../../files/read-file.ts';
import { replaceFile } from '../../files/replace-file.ts';
import { UsageError } from '../print.ts';

const BYTES_MAX = 4 * 1024 * 1024;
const CERTIFICATE = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g;

/**
 * `--ca`: a file that holds Node's root certificates and the given ones, since most tools replace theirs by it. `auto`: the
 * roots that the system trusts. `undefined` for `none`. Throws UsageError.
 */
export function caFileFor(ca: string | undefined, stateDir: string): string | undefined {
  if (ca === undefined || ca === 'none') return undefined;
  const more = ca === 'auto' ? getCACertificates('system') : certificatesIn(ca);
  return writeCaBundle(more, stateDir);
}

/** Node's roots and these, each once. */
export function writeCaBundle(more: readonly string[], stateDir: string): string {
  const byHash = new Map(
    [...getCACertificates('bundled'), ...more].map((pem) => [new X509Certificate(pem).fingerprint256, pem]),
  );
  const path = join(stateDir, 'ca-bundle.pem');
  replaceFile(path, `${[...byHash.values()].map((pem) => pem.trim()).join('\n')}\n`);
  return path;
}

function certificatesIn(path: string): readonly string[] {
  try {
    const found =
      readFileBounded(path, { bytesMax: BYTES_MAX, pipes: 'wait' }).toString('latin1').match(CERTIFICATE) ?? [];
    if (found.length === 0) throw new UsageError(`--ca: ${path} holds no certificate (PEM)`);
    for (const pem of found) new X509Certificate(pem);
    return found;
  } catch (error) {
    if (error instanceof UsageError) throw error;
    const why = error instanceof FileError ? error.why : 'one of its certificates cannot be read';
    throw new UsageError(`--ca: ${path}: ${why}`);
  }
}
