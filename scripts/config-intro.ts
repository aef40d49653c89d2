import { GENERATED } from './page-parts.ts';

/** The text of docs/CONFIG.md before its tables. */
export const CONFIG_INTRO = `# Configuration

${GENERATED}

Flags win over environment variables, variables over the file, the file over defaults. \`viaduct check\` prints what is in
force and where each value came from; secrets are masked.

The file is YAML or JSON: \`--config FILE\`, or \`viaduct.yaml\` in \`$XDG_CONFIG_HOME/viaduct\` (\`~/.config/viaduct\`) if it is
there. An unknown key is an error. Relative paths are relative to the file. A configuration is reloaded all or nothing: one
with a mistake changes nothing and is reported in one line. Open tunnels live on. The tables below say for each setting when
a reload applies it: at once, for new requests, or only at the next start.

The file is watched, and so are files of hosts that it names. One that is written in place is read when it has not changed
for a second; one that is renamed into its place is read at once. SIGHUP reads everything again at once, users, secrets and
certificates too, and opens the log anew; several within a second are one. With \`reload: signal\` only SIGHUP does. An empty file
is a mistake while one with settings is in force, and so is one that is gone; \`{}\` takes all settings back. When \`access\`,
\`clients\`, \`guard\` or \`limits\` have been removed, the log says so.

\`hosts: "file:PATH"\` takes the hosts of an access rule, a limit or a route from a file: one on each line, in every form that
a list has, comments behind \`#\`.

\`\`\`yaml
listen: localhost:3128
clients:
  allow: [127.0.0.0/8, "::1", 10.1.0.0/16]
  users: users.htpasswd
access:
  - { name: ads, deny: { hosts: [.ads.example] } }
  - { name: ci, allow: { users: [ci], hosts: [.example.com], ports: [443] } }
  - { default: allow }
guard:
  allow: [10.20.0.0/16]
limits:
  bandwidth:
    - { per: proxy, rate: 20MiB }
    - { per: client, rate: 2MiB, direction: down }
routes:
  pac: auto
  rules:
    - { hosts: [.corp.example], via: "PROXY proxy.corp:8080; DIRECT" }
  noProxy: [localhost, .internal]
timeouts: { connect: 10s, idle: 30m }
log: { format: json, file: access.log }
\`\`\`

Durations are written \`250ms\`, \`30s\`, \`5m\`, \`1h30m\`, \`30d\`; a bare number counts seconds. Sizes are written \`512KiB\` (1024 each)
or \`50MB\` (1000 each). Rates are sizes per second, or bits: \`4Mbit\`.

A listener that others can reach is refused unless \`clients.users\` or \`clients.allow\` says who may use it, or \`--open\` says
that everyone may. As soon as one listener can be reached by others, the guard denies private and other special
addresses, and CONNECT goes to port 443 only unless rules say otherwise.

The proxy port itself serves \`/proxy.pac\` (and \`/alpaca.pac\`) for browsers, and \`/\`, a page about it.
\`clients.allow\` holds for them as for requests. They need no login: browsers cannot send a password for a PAC, so with
\`clients.users\` alone everyone who reaches a listener can read it; list who may with \`clients.allow\`. The PAC is given
only to requests that name this machine: \`localhost\`, one of its addresses, its host name with the names beside that
in \`/etc/hosts\`, or a name that \`listen\` is written with. Pages of other origins get nothing.

The guard judges addresses, and \`access\` judges names. A name is resolved once, every address of it is judged, and exactly
an address that passed is dialled; so a name that changes its answer in between gains nothing. Behind an upstream proxy
the far name is not ours to resolve: there the guard judges the address of the upstream proxy, and only the rules of
\`access\` judge the name. A target that needs no resolving is judged on every route: a literal address, also one that is
written inside IPv6, and \`localhost\` and the names below it, which are loopback on the machine of the upstream proxy.

TLS with upstream proxies and with the servers of PACs is verified, from TLS 1.2 on. They are trusted by Node's own
authorities, those of the system, \`NODE_EXTRA_CA_CERTS\`, and \`upstreams[].ca\`. Variables and flags of Node that weaken TLS
(\`NODE_TLS_REJECT_UNAUTHORIZED=0\`, \`--tls-min-v1.0\`, \`--tls-cipher-list\`) and security levels of OpenSSL's configuration
count for nothing here.

The route of a request is decided by the first of these that has an answer: \`routes.noProxy\`, \`routes.rules\`, the PAC,
\`routes.proxy\`; else it goes direct. A route is \`direct\`, the URL of a proxy (\`http://\`, \`https://\`, \`socks4://\`,
\`socks4a://\`, \`socks5://\`; \`socks5h://\` means the same, since SOCKS5 proxies always get the name), or what a PAC script
answers. \`host:port\` alone is an \`http://\` proxy. Without a port it is 80, 443 or 1080, as in browsers. A list is the order
of trying, and a list inside it is a chain of proxies, nearest first:

\`\`\`yaml
routes:
  proxy:
    - [https://parent.example, socks5://me:secret@behind.example] # a chain
    - http://spare.example:3128 # when that fails
    - direct
\`\`\`

\`--proxy\` on the command line takes the place of a PAC that a file or a variable names. \`NO_PROXY\` is read as curl reads it;
its entries are added to those of the file, unless \`--noproxy\` or \`VIADUCT_NOPROXY\` is set, which replaces both.
`;
