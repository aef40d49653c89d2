import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { interactiveUsers } from '../../identity/interactive-users.ts';
import { isSameUserInForce } from '../../identity/same-user.ts';
import { redact } from '../../util/redact.ts';
import { answers } from '../answers.ts';
import type { Check, Finding, Patient } from './finding.ts';
import { loopbackIn } from './tool-checks.ts';

const VARIABLES = ['http_proxy', 'HTTP_PROXY', 'https_proxy', 'HTTPS_PROXY', 'all_proxy', 'ALL_PROXY'];

/** Variables of this shell, and files of other proxies. */
export const leftoverCheck: Check = {
  name: 'leftovers',
  async run({ machine, proxy }) {
    const findings: Finding[] = [];
    for (const name of VARIABLES) {
      const value = machine.environment[name];
      const address = value === undefined ? undefined : loopbackIn(value);
      if (value === undefined || address === undefined || address.port === proxy.port || (await answers(address)))
        continue;
      findings.push({
        level: 'warning',
        text: `${name} of this shell is ${redact(value)}, where nothing answers`,
        mend: `unset ${name}; viaduct env prints the right ones`,
      });
    }
    const files = [
      '/etc/cntlm.conf',
      join(machine.home, '.cntlm.conf'),
      join(machine.configHome, 'px', 'px.ini'),
      join(machine.environment.APPDATA ?? '/nonexistent', 'px', 'px.ini'),
    ];
    for (const path of files.filter(machine.exists)) {
      findings.push({ level: 'note', text: `${path} configures another proxy`, mend: `viaduct import ${path}` });
    }
    return findings.length > 0 ? findings : [{ level: 'ok', text: 'nothing of other proxies was found' }];
  },
};

const otherUsers = (count: number): string => (count === 1 ? 'another user' : `${count} other users`);

/** Who else could send requests with the logins of this proxy. */
export const otherUsersCheck: Check = {
  name: 'other users',
  async run({ config, machine }: Patient) {
    if (config === undefined || machine.platform !== 'linux') return [];
    const others = interactiveUsers(readPasswd()) - 1;
    const { clients } = config;
    if (others < 1) return [{ level: 'ok', text: 'no other person has an account on this machine' }];
    const hasAccounts = Object.keys(config.credentials.accounts).length > 0;
    if (isSameUserInForce({ sameUser: clients.sameUser, hasAccounts }) || clients.users !== undefined) {
      return [{ level: 'ok', text: `${otherUsers(others)} of this machine cannot use this proxy` }];
    }
    return [
      {
        level: 'warning',
        text: `${otherUsers(others)} of this machine can use this proxy, and with it your logins at upstream proxies`,
        mend: 'clients: { sameUser: true }',
      },
    ];
  },
};

function readPasswd(): string {
  try {
    return readFileSync('/etc/passwd', 'utf8');
  } catch {
    return '';
  }
}
