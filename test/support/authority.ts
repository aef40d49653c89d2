import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Paths of a certificate and its key. */
export interface IssuedFiles {
  readonly cert: string;
  readonly key: string;
}

/** What a certificate says. */
export interface IssueOptions {
  /** `/CN=alice` */
  readonly subject: string;
  /** `DNS:a.example,email:a@example.com` */
  readonly names?: string;
  /** From when on it is valid, in days from now; a certificate lives for a day. */
  readonly fromDay?: number;
}

/** A certificate authority in a folder, made by the openssl command; each test has its own. */
export class Authority {
  readonly folder: string;
  readonly name: string;
  readonly cert: string;
  #issued = 0;

  constructor(folder: string, name: string) {
    this.folder = folder;
    this.name = name;
    this.cert = this.#path('pem');
    writeFileSync(this.#path('index'), '');
    writeFileSync(this.#path('index.attr'), 'unique_subject = no\n');
    writeFileSync(this.#path('number'), '01\n');
    writeFileSync(
      this.#path('cnf'),
      `[ca]\ndefault_ca = own\n[own]\ndatabase = ${this.#path('index')}\nserial = ${this.#path('number')}\n` +
        `new_certs_dir = ${folder}\ndefault_md = sha256\npolicy = any\ncopy_extensions = copy\ndefault_crl_days = 1\n` +
        '[any]\ncommonName = optional\n',
    );
    this.#openssl(
      ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'],
      ['-subj', `/CN=${name}`, '-keyout', this.#path('key'), '-out', this.cert],
    );
  }

  issue(name: string, { subject, names, fromDay = 0 }: IssueOptions): IssuedFiles {
    this.#issued += 1;
    const stem = join(this.folder, `${this.name}-${name}-${this.#issued}`);
    const files = { cert: `${stem}.pem`, key: `${stem}.key` };
    const alternatives = names === undefined ? [] : ['-addext', `subjectAltName=${names}`];
    this.#openssl(
      ['req', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', subject],
      [...alternatives, '-keyout', files.key, '-out', `${stem}.csr`],
    );
    this.#openssl(
      ['ca', '-config', this.#path('cnf'), '-batch', '-notext', '-keyfile', this.#path('key'), '-cert', this.cert],
      ['-startdate', dayText(fromDay), '-enddate', dayText(fromDay + 1), '-in', `${stem}.csr`, '-out', files.cert],
    );
    return files;
  }

  revoke({ cert }: IssuedFiles): void {
    this.#openssl(
      ['ca', '-config', this.#path('cnf'), '-keyfile', this.#path('key'), '-cert', this.cert],
      ['-revoke', cert],
    );
  }

  /** The list of what was revoked until now. */
  revocations(file = this.#path('crl')): string {
    this.#openssl(
      ['ca', '-config', this.#path('cnf'), '-keyfile', this.#path('key'), '-cert', this.cert],
      ['-gencrl', '-out', file],
    );
    return file;
  }

  #path(extension: string): string {
    return join(this.folder, `${this.name}.${extension}`);
  }

  #openssl(...words: readonly (readonly string[])[]): void {
    execFileSync('openssl', words.flat(), { stdio: ['ignore', 'ignore', 'pipe'] });
  }
}

/** A time as `openssl ca` takes it. */
const dayText = (days: number): string =>
  `${new Date(Date.now() - 60_000 + days * 86_400_000).toISOString().replace(/\D/g, '').slice(0, 14)}Z`;
