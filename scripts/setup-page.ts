import type { Proof, Tool } from '../src/cli/setup/tool.ts';
import { TOOLS } from '../src/cli/setup/tools/tools.ts';
import { GENERATED, table } from './page-parts.ts';

const INTRO = `# Pointing the tools of a machine at Viaduct

${GENERATED}

\`\`\`
viaduct setup --list          what is here, and what is set up
viaduct setup --dry-run       what would be changed, line by line
viaduct setup                 everything that is found
viaduct setup git npm         these alone
viaduct setup --undo          as it was before
viaduct exec -- COMMAND       no file is changed: variables for one command
\`\`\`

- **Which proxy**: \`--port N\`; else the only Viaduct of this user that runs; else the first loopback listener of the
  configuration; else localhost:3128. \`--through URL\` names any other proxy.
- **What is written** is an address without a password: that is what a local proxy is for. Exceptions are short
  (\`localhost,127.0.0.1,::1\`), since their grammars differ; \`routes\` decides the rest inside Viaduct.
- **Files** keep their comments, order, encoding, line ends and mode, and are replaced whole or not at all. A file that
  cannot be read, is read-only or is not what its name says is left as it is, with one line that says why; so is a link that
  leads out of your home.
- **The journal** (\`setup.json\` in the state folder, mode 0600) holds each value as it was, with a password where your file
  had one. Undo gives back every byte where the file has not been changed since, else the value alone, and only where the
  present one is still ours; it says what is not.
- **The desktop** gets the PAC of Viaduct (\`/proxy.pac\`) rather than a fixed address. Its former PAC or proxy becomes the
  source of Viaduct's own routes (\`--pac system\`, which is the default), and comes back with \`--undo\`; \`viaduct check\`
  shows it with the origin \`setup\`. A login of the desktop's proxy is not copied: give it to Viaduct (\`viaduct login\`).
- **\`--pac\`** sets up only what can use a PAC.
- **\`--ca FILE\`** writes a file with Node's roots and yours, and points the tools at it; \`--ca auto\` takes the roots that
  the system trusts. \`viaduct doctor\` says whether you need it.
- **The system** (\`--scope system\`) is changed with \`--yes\` alone; without it the command says what it would do.
- **A tool that is set up fails while Viaduct is stopped.** \`setup --list\` says so; let Viaduct start with your login.

In the last column, *tried* means that a test sets the tool up, has it work behind an NTLM proxy, and undoes it, and that its
files are then the same byte for byte. *Tried at length* is the same in the long form of the tests (\`npm run test:long\`), since these
tools are large. *Read* means that a test has the tool's own parser read what is written, and undoes it; *undone under Wine* that a test sets it up and undoes it there; *compared* that what is written
was compared with the tool's documentation only.
`;

const FOLLOW = `
## Tools that need nothing of their own

They read the variables of \`viaduct env\`, or the setting of the desktop.
`;

/** Tools that read the variables of the shell, or the setting of the desktop, and need nothing of their own. */
const FOLLOWERS: readonly {
  readonly names: string;
  readonly follow: string;
  readonly trap: string;
  readonly proof?: Proof;
}[] = [
  {
    names: 'Go, and what is written in it: gh, kubectl, helm, terraform',
    follow: 'variables',
    trap: 'Never use a proxy for loopback',
    proof: 'tried at length',
  },
  {
    names: 'uv',
    follow: 'variables',
    trap: '`SSL_CERT_FILE` takes the place of all of its roots; `UV_SYSTEM_CERTS=true` uses those of the system',
  },
  {
    names: 'Node programs',
    follow: 'variables',
    trap: '`NODE_USE_ENV_PROXY=1`, which the variables contain, since Node 22.21 and 24.5',
    proof: 'tried',
  },
  {
    names: 'Java programs',
    follow: 'variables of `viaduct exec`',
    trap: '`JAVA_TOOL_OPTIONS`; every JVM then says so on standard error',
    proof: 'tried',
  },
  { names: 'rustup, Ruby, Bundler, PHP Composer, R, Julia, Perl LWP, Deno, Bun', follow: 'variables', trap: '' },
  {
    names: 'AWS, Azure and Google CLIs',
    follow: 'variables',
    trap: 'Roots: `AWS_CA_BUNDLE`, `REQUESTS_CA_BUNDLE`, `core/custom_ca_certs_file`',
  },
  {
    names: '.NET, NuGet, PowerShell 7',
    follow: 'variables',
    trap: 'In `NO_PROXY` a name is exact; `.example.com` is its subdomains',
  },
  { names: 'Homebrew', follow: 'variables', trap: '' },
  { names: 'Poetry, requests, httpx', follow: 'variables', trap: 'aiohttp only with `trust_env=True`' },
  {
    names: 'buildx with the docker-container driver',
    follow: 'nothing',
    trap: '`docker buildx create --driver-opt env.HTTP_PROXY=…`: the builder must be made anew',
  },
  {
    names: 'WSL 2',
    follow: 'Windows (`autoProxy`, on by default)',
    trap: 'With `networkingMode=mirrored` 127.0.0.1 is Windows; else run Viaduct with `--listen wsl`',
  },
  { names: 'Chrome, Edge, Firefox', follow: 'desktop', trap: 'Firefox: leave “use system proxy settings”' },
];

/** docs/SETUP.md, from the table of tools. */
export function setupPage(): string {
  const rows = TOOLS.map((tool) => [
    `\`${tool.name}\``,
    `[${tool.title}](${tool.page.source})`,
    tool.page.place,
    tool.page.value,
    tool.page.trap,
    whenOf(tool),
    tool.page.proof,
  ]);
  const head = ['name', 'tool', 'where', 'what', 'mind', 'set up', 'proof'];
  const followers = FOLLOWERS.map(({ names, follow, trap, proof = 'compared' }) => [names, follow, trap, proof]);
  return [
    INTRO,
    '## Tools\n',
    table(head, rows),
    FOLLOW,
    table(['tools', 'follow', 'mind', 'proof'], followers),
    '',
  ].join('\n');
}

function whenOf({ scope, when }: Tool): string {
  if (scope === 'system') return when === 'named' ? '`--scope system`, named' : '`--scope system`';
  return when === 'named' ? 'when named' : 'when found';
}
