import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { copyOf, type Stage } from './dockerfile.ts';

/** The tools come from the machine of the test and the packages from npm: as long as both take. */
const BUILD_MS_MAX = 600_000;

export interface BuildOptions {
  /** The checkout that is the context of the build. */
  readonly context: string;
  readonly first: Stage;
  readonly last: Stage;
  /** Where what the last stage copies is put, under the same paths. */
  readonly into: string;
}

/**
 * Runs the steps of a first stage over a copy of this machine (overlayfs, in memory), with this Node as that of the base image,
 * and keeps what the last stage copies. Nothing of the machine is changed.
 */
export function buildFirstStage({ context, first, last, into }: BuildOptions): void {
  const copied = last.steps.filter(({ instruction }) => instruction === 'COPY').map(({ text }) => copyOf(text).source);
  mkdirSync(into, { recursive: true });
  const lines = [
    'set -eu',
    'mount -t tmpfs -o size=4g none /mnt',
    'mkdir /mnt/upper /mnt/work /mnt/root',
    'mount -t overlay none -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work /mnt/root',
    'mount --bind /proc /mnt/root/proc && mount --bind /dev /mnt/root/dev',
    'rm -f /mnt/root/usr/local/bin/node && cp "$NODE" /mnt/root/usr/local/bin/node',
  ];
  let folder = '/';
  for (const { instruction, text } of first.steps) {
    if (instruction === 'WORKDIR') {
      folder = text;
      lines.push(`rm -rf /mnt/root${folder} && mkdir -p /mnt/root${folder}`);
    } else if (instruction === 'COPY' && text === '. .') {
      // What the ignore file leaves is what git knows.
      const files = 'git ls-files -z --cached --others --exclude-standard --deduplicate';
      lines.push(
        `(cd "$CONTEXT" && ${files} | tar --null --files-from=- --ignore-failed-read -cf -) | tar -xf - -C /mnt/root${folder}`,
      );
    } else if (instruction === 'RUN') {
      lines.push(`chroot /mnt/root sh -c ${quoted(`cd ${folder} && ${text}`)}`);
    } else throw new Error(`${instruction} ${text}: the test cannot do this step`);
  }
  for (const path of copied) lines.push(`(cd /mnt/root && tar -cf - .${path}) | tar -xf - -C "$INTO"`);
  // How this machine reaches the registry stays (certificates, proxies); what npm says of the run that this is part of does not.
  const kept = Object.entries(process.env).filter(
    ([name]) => !/^(?:npm_(?!config_registry$)|VIADUCT_|NODE_TEST)/.test(name),
  );
  execFileSync('unshare', ['--mount', '--propagation', 'private', 'sh', '-c', lines.join('\n')], {
    env: {
      ...Object.fromEntries(kept),
      PATH: `/usr/local/bin:${process.env.PATH}`,
      NODE: process.execPath,
      CONTEXT: context,
      INTO: into,
      DEBIAN_FRONTEND: 'noninteractive',
    },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: BUILD_MS_MAX,
    maxBuffer: 64 * 1024 * 1024,
  });
}

const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;
