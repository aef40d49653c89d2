import type { SystemWorld } from '../../src/pac/discovery/world.ts';

export interface PlayedSystem {
  readonly platform?: NodeJS.Platform;
  readonly environment?: Readonly<Record<string, string | undefined>>;
  readonly hostName?: string;
  /** Standard output by command line; every other command is not there. */
  readonly commands?: Readonly<Record<string, string>>;
  /** Text by path; every other file is not there. */
  readonly files?: Readonly<Record<string, string>>;
  /** When the files were written. */
  readonly modifiedMs?: number;
}

/** A system with these settings and no others, and the commands that were run on it. */
export function playedSystem(played: PlayedSystem = {}): SystemWorld & { readonly ran: string[] } {
  const { platform = 'linux', environment = {}, hostName = 'machine', modifiedMs = 0 } = played;
  const files = new Map(Object.entries(played.files ?? {}));
  const commands = new Map(Object.entries(played.commands ?? {}));
  const ran: string[] = [];
  return {
    platform,
    environment,
    ran,
    homeFolder: '/home/me',
    hostName: () => hostName,
    async run(file, words) {
      const line = [file, ...words].join(' ');
      ran.push(line);
      return commands.get(line);
    },
    async read(path) {
      const text = files.get(path);
      return text === undefined ? undefined : { text, modifiedMs };
    },
    async list(folder) {
      const inside = [...files.keys()].filter((path) => path.startsWith(`${folder}/`));
      return inside.map((path) => path.slice(folder.length + 1)).filter((name) => !name.includes('/'));
    },
  };
}
