import { X509Certificate } from 'node:crypto';
import { getCACertificates } from 'node:tls';

/** Who vouches for a chain of certificates. */
export type Trust =
  /** A root that Node brings, as browsers do. */
  | { readonly by: 'public'; readonly root: string }
  /** A root that this system has been given: usually an inspecting proxy, whose certificates replace those of the sites. */
  | { readonly by: 'system'; readonly root: string }
  | { readonly by: 'no-root'; readonly top: string };

/** Roots by their subject. */
type Roots = ReadonlyMap<string, readonly X509Certificate[]>;

export const trustOf = (
  chain: readonly X509Certificate[],
  bundled: readonly string[] = getCACertificates('bundled'),
  system: readonly string[] = getCACertificates('system'),
): Trust => {
  const top = chain.at(-1);
  if (top === undefined) return { by: 'no-root', top: 'no certificate' };
  const known = rootOf(chain, bySubject(bundled));
  if (known !== undefined) return { by: 'public', root: known };
  const given = rootOf(chain, bySubject(system));
  if (given !== undefined) return { by: 'system', root: given };
  return { by: 'no-root', top: nameOf(top.issuer) };
};

/** Of any certificate in the chain: a server may send more than is needed, or less. */
function rootOf(chain: readonly X509Certificate[], roots: Roots): string | undefined {
  for (const certificate of chain) {
    const own = roots.get(certificate.subject)?.find((root) => root.fingerprint256 === certificate.fingerprint256);
    const signer = roots.get(certificate.issuer)?.find((root) => certificate.verify(root.publicKey));
    const root = own ?? signer;
    if (root !== undefined) return nameOf(root.subject);
  }
  return undefined;
}

function bySubject(pems: readonly string[]): Roots {
  const found = pems.flatMap((pem) => {
    try {
      return [new X509Certificate(pem)];
    } catch {
      // Stores of systems hold old certificates that OpenSSL does not read.
      return [];
    }
  });
  return Map.groupBy(found, ({ subject }) => subject);
}

/** `CN`, else `O`, of a name in lines. */
export const nameOf = (subject: string): string =>
  /^CN=(.*)$/m.exec(subject)?.[1] ?? /^O=(.*)$/m.exec(subject)?.[1] ?? subject.replaceAll('\n', ', ');
