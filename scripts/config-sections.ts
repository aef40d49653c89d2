/**
 * What a reload applies to open tunnels and connections too, by path; what is below a path is like it. START_SETTINGS names
 * what waits for the next start; all else holds for new requests.
 */
export const AT_ONCE: readonly string[] = [
  'listen',
  'port',
  'open',
  'limits',
  'timeouts.requestHead',
  'timeouts.clientGone',
  'timeouts.drain',
  'log',
  'reload',
  'quiet',
];

/** What of a listener holds for the connections that it accepts from then on. */
export const NEW_CONNECTIONS: readonly string[] = [
  'listen.protocol',
  'listen.tls',
  'listen.h2c',
  'listen.proxyProtocol',
];
/** What holds for new requests, though it is below a path of AT_ONCE. */
export const NEW_REQUESTS: readonly string[] = ['listen.negotiate'];

/** A part of docs/CONFIG.md: some keys of the configuration, in one table. */
export interface ConfigSection {
  /** Also its anchor. */
  readonly title: string;
  /** `others`: those that no other section names. */
  readonly keys: readonly string[] | 'others';
  readonly about: string;
  /** YAML that is valid by itself. */
  readonly example: string;
}

export const SECTIONS: readonly ConfigSection[] = [
  {
    title: 'listen',
    keys: ['listen', 'port', 'open'],
    about:
      'Where clients connect. A reload opens new listeners and closes removed ones; the others stay open, also with other settings. [CLIENTS.md](CLIENTS.md) says what each kind is for.',
    example: `listen:
  - localhost:3128
  - any://10.1.2.3
  - { url: unix:/run/viaduct.sock, mode: "0660", group: users }
port: 8080 # of 10.1.2.3, which names none
clients: { allow: [10.1.0.0/16, 127.0.0.0/8] }
`,
  },
  {
    title: 'clients',
    keys: ['clients'],
    about: 'Who may use the proxy.',
    example: `clients:
  allow: [127.0.0.0/8, 10.1.0.0/16]
  users: { alice: "$2y$05$c4WoMPo3SXsafkva.HHa6uXQZWr7oboPiC2bT/r7q1BB8I2s0BRqC" } # or a file of htpasswd
`,
  },
  {
    title: 'access',
    keys: ['access'],
    about: 'What clients may reach. The first rule that matches decides.',
    example: `access:
  - { name: ads, deny: { hosts: [.ads.example] } }
  - { name: office hours, allow: { hosts: [.video.example], times: { days: [mon-fri], from: "18:00", to: "22:00" } } }
  - { default: allow }
`,
  },
  {
    title: 'guard',
    keys: ['guard'],
    about: 'Which addresses the proxy never connects to, under any name.',
    example: `guard:
  deny: [loopback, private, link-local]
  allow: [10.20.0.0/16]
`,
  },
  {
    title: 'limits',
    keys: ['limits'],
    about: 'How much clients may use.',
    example: `limits:
  bandwidth:
    - { per: proxy, rate: 20MiB }
    - { per: client, rate: 2MiB, direction: down }
  tunnels: { client: 64 }
  requests: [{ per: client, rate: 50, burst: 200 }]
  quota: [{ per: user, bytes: 50GiB, every: 30d }]
`,
  },
  {
    title: 'routes',
    keys: ['routes'],
    about: 'How requests reach their targets.',
    example: `routes:
  pac: http://pac.corp.example/proxy.pac
  rules:
    - { hosts: [.corp.example], via: "PROXY proxy.corp.example:8080; DIRECT" }
  noProxy: [localhost, .internal]
`,
  },
  {
    title: 'upstreams',
    keys: ['upstreams'],
    about: 'Settings of single upstream proxies and PAC servers. The first entry that matches holds.',
    example: `upstreams:
  - { host: proxy.corp.example, auth: [negotiate, ntlm] }
  - { host: "*", auth: { scheme: basic, preemptive: true } }
`,
  },
  {
    title: 'credentials',
    keys: ['credentials'],
    about:
      'Accounts at upstream proxies. [CREDENTIALS.md](CREDENTIALS.md) says which one is used, and for which proxies.',
    example: `credentials:
  default: { user: 'CORP\\\\alice', from: keyring }
  allow: [.corp.example]
`,
  },
  {
    title: 'timeouts',
    keys: ['timeouts'],
    about: 'How long anything may take. A bare number counts seconds.',
    example: `timeouts: { connect: 10s, head: 30s, idle: 30m, drain: 1m }
`,
  },
  {
    title: 'log',
    keys: ['log'],
    about:
      'The access log, one record for every request that has ended, and the diagnostic log. [access-log.md](access-log.md) lists the fields, and says how files are rotated.',
    example: `log: { format: json, file: access.log, maxBytes: 100MiB, keep: 5, level: warn, url: origin }
`,
  },
  {
    title: 'admin',
    keys: ['admin'],
    about:
      'The dashboard, the API and the metrics. Everything under `/api` needs the token, on this machine too; what others can reach needs `token` and `tls`.',
    example: `admin: { listen: localhost:3129, token: env:VIADUCT_ADMIN_TOKEN, metrics: token }
`,
  },
  {
    title: 'process',
    keys: 'others',
    about: 'The program itself.',
    example: `workers: auto
reload: signal
name: edge-1
`,
  },
];
