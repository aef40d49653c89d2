import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { isInstalled, labPackages } from '../test/support/requires.ts';
import { run } from './tools.ts';

/** Debian asks this before a package starts its daemon; 101 means no. Tests start what they need themselves. */
const POLICY = '/usr/sbin/policy-rc.d';

/** Installs what test/lab/packages.txt names and is missing, without starting any daemon. Gives the exit code. */
export function installLabPackages(): number {
  const names = labPackages()
    .filter((one) => !isInstalled(one))
    .map(({ name }) => name);
  if (names.length === 0) return 0;
  if (process.getuid?.() !== 0 || !existsSync('/etc/debian_version')) {
    process.stderr.write(`cannot install ${names.join(', ')}: this needs root on Debian\n`);
    return 1;
  }
  const policyIsOurs = !existsSync(POLICY);
  if (policyIsOurs) writeFileSync(POLICY, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
    const updated = run('apt-get', ['-q', 'update'], { env });
    if (updated !== 0) return updated;
    return run('apt-get', ['-q', '-y', 'install', '--no-install-recommends', ...names], { env });
  } finally {
    if (policyIsOurs) rmSync(POLICY);
  }
}
