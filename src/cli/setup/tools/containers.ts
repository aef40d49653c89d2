import { join } from 'node:path';
import { UntouchedError } from '../edit-file.ts';
import { JSON_FORMAT, jsonText } from '../formats/json.ts';
import { TOML } from '../formats/toml.ts';
import type { Machine } from '../machine.ts';
import type { Setting, Tool } from '../tool.ts';
import { LOCAL } from './paths.ts';

const LENT = 'Every container can then use your login at upstream proxies.';

export const docker: Tool = {
  name: 'docker',
  title: 'Docker: containers and builds',
  scope: 'user',
  // It lends the user's login to every container.
  when: 'named',
  takesPac: false,
  isFound: ({ hasCommand }) => hasCommand('docker'),
  settings({ environment, home }, { containerUrl }) {
    if (containerUrl === undefined) return [];
    const path = join(environment.DOCKER_CONFIG || join(home, '.docker'), 'config.json');
    const set = (name: string, value: string): Setting => {
      return { kind: 'file', path, format: JSON_FORMAT, key: ['proxies', 'default', name], value: jsonText(value) };
    };
    return [set('httpProxy', containerUrl), set('httpsProxy', containerUrl), set('noProxy', LOCAL)];
  },
  blocked: (_machine, { containerUrl }) =>
    containerUrl === undefined
      ? 'no address of this proxy can be reached from a container; run it with --listen localhost --listen docker'
      : undefined,
  advice: `${LENT} New containers and builds have it; those that run keep what they have.`,
  page: {
    place: '`~/.docker/config.json`, `proxies.default`',
    value: '`httpProxy`, `httpsProxy`, `noProxy`: the address of the bridge',
    trap: `On Linux Viaduct must run with \`--listen docker\`; Docker Desktop gets \`host.docker.internal\`. ${LENT} The value can be read by \`docker inspect\``,
    source: 'https://docs.docker.com/engine/cli/proxy/',
    proof: 'tried at length',
  },
};

export const podman: Tool = {
  name: 'podman',
  title: 'Podman, Buildah',
  scope: 'user',
  when: 'named',
  takesPac: false,
  isFound: ({ hasCommand }) => hasCommand('podman'),
  settings({ configHome }, { containerUrl }) {
    if (containerUrl === undefined) return [];
    const variables = ['http_proxy', 'https_proxy'].flatMap((name) => [name, name.toUpperCase()]);
    const list = [...variables.map((name) => `${name}=${containerUrl}`), `no_proxy=${LOCAL}`, `NO_PROXY=${LOCAL}`];
    const set = (section: string, name: string, value: string): Setting => {
      const path = join(configHome, 'containers', 'containers.conf');
      return { kind: 'file', path, format: TOML, key: [section, name], value };
    };
    // Otherwise it copies the variables of the shell, whose localhost is the container itself.
    return [set('containers', 'http_proxy', 'false'), set('containers', 'env', jsonText(list))];
  },
  blocked: (_machine, { containerUrl }) =>
    containerUrl === undefined
      ? 'no address of this proxy can be reached from a container; run it with --listen localhost --listen podman'
      : undefined,
  advice: LENT,
  page: {
    place: '`~/.config/containers/containers.conf`, `[containers]`',
    value: '`env`, and `http_proxy = false`, so that no `localhost` of the shell is copied',
    trap: `Viaduct must run with \`--listen podman\`; rootless Podman has no bridge on this machine. ${LENT}`,
    source: 'https://github.com/containers/common/blob/main/docs/containers.conf.5.md',
    proof: 'tried at length',
  },
};

/** The first one whose `daemon.json` may name proxies: an earlier daemon does not start with one that does. */
const ENGINE_WITH_PROXIES = 23;

async function refuseEarlierEngine(machine: Machine): Promise<void> {
  const { out } = await machine.run(['dockerd', '--version']);
  const [version, major] = /(\d+)\.\d+(?:\.\d+)?/.exec(out) ?? [];
  if (major === undefined || Number(major) >= ENGINE_WITH_PROXIES) return;
  throw new UntouchedError(
    `Docker Engine ${version} would not start with proxies in daemon.json; update it to ${ENGINE_WITH_PROXIES} or later, or set HTTP_PROXY and HTTPS_PROXY in a drop-in of docker.service`,
  );
}

export const dockerDaemon: Tool = {
  name: 'docker-daemon',
  title: 'Docker daemon: pulls and pushes',
  scope: 'system',
  when: 'named',
  takesPac: false,
  isFound: ({ platform, hasCommand }) => platform === 'linux' && hasCommand('dockerd'),
  async settings(machine, { proxy }) {
    await refuseEarlierEngine(machine);
    const set = (name: string, value: string): Setting => {
      const path = '/etc/docker/daemon.json';
      return { kind: 'file', path, format: JSON_FORMAT, key: ['proxies', name], value: jsonText(value) };
    };
    return [set('http-proxy', proxy.url), set('https-proxy', proxy.url), set('no-proxy', LOCAL)];
  },
  after: ['systemctl', 'restart', 'docker'],
  advice: 'The restart of the daemon stops containers, unless live-restore is on.',
  page: {
    place: '`/etc/docker/daemon.json`, `proxies`',
    value: '`http-proxy`, `https-proxy`, `no-proxy`',
    trap: 'Engine 23 and later; Docker Desktop ignores it. The daemon must be restarted, which stops containers',
    source: 'https://docs.docker.com/engine/daemon/proxy/',
    proof: 'compared',
  },
};
