import type { ConfigInput } from '../../src/config/schema.ts';
import type { Profile } from './cases.ts';

/** Where the one origin of a profile is. */
export interface OriginAt {
  readonly host: string;
  readonly port: number;
}

/** A locked-down proxy: special addresses are denied, the origin excepted, and CONNECT goes to 443 and the origin. */
const base = ({ host, port }: OriginAt): ConfigInput => ({
  listen: '127.0.0.1:0',
  guard: {
    deny: ['private', 'loopback', 'link-local', 'metadata', 'special'],
    allow: [`${host}:${port}`],
  },
  access: [
    { name: 'safe ports', allow: { methods: ['CONNECT'], ports: [443, port] } },
    { name: 'other ports', deny: { methods: ['CONNECT'] } },
    { default: 'allow' },
  ],
  timeouts: { connect: '3s', head: '3s' },
  log: { format: 'clf' },
});

/** alice / secret */
const ALICE = { alice: '{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=' };

const listOf = (access: ConfigInput['access']) => (access === undefined || access === 'all' ? [] : access);

export const PROFILES: Readonly<Record<Profile, (origin: OriginAt) => ConfigInput>> = {
  base,
  auth: (origin) => ({ ...base(origin), clients: { users: ALICE } }),
  deny: (origin) => ({
    ...base(origin),
    access: [{ name: 'blocked', deny: { hosts: ['blocked.example'] } }, ...listOf(base(origin).access)],
  }),
  limits: (origin) => ({
    ...base(origin),
    timeouts: { connect: '3s', head: '3s', requestHead: '2s', requestBody: '2s' },
  }),
  // Every destination is allowed and the proxy is at every address of the machine: only itself is out of reach.
  wildcard: () => ({
    listen: '[::]:0',
    open: true,
    guard: { deny: [] },
    access: [{ allow: { methods: ['CONNECT'] } }],
    timeouts: { connect: '3s', head: '3s' },
    log: { format: 'clf' },
  }),
};

export const CREDENTIALS = `Proxy-Authorization: Basic ${Buffer.from('alice:secret').toString('base64')}\r\n`;
