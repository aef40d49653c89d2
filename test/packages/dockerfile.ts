import { readFileSync } from 'node:fs';

/** One stage of a Dockerfile: what it begins with, and its steps in order. */
export interface Stage {
  readonly from: string;
  readonly name: string | undefined;
  readonly steps: readonly { readonly instruction: string; readonly text: string }[];
}

/** What the engine keeps beside the files of an image. */
export interface ImageSettings {
  readonly user: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly entrypoint: readonly string[];
  readonly command: readonly string[];
  readonly healthCheck: readonly string[];
}

/** The instructions that the Dockerfile of this project has; another one is an error, and not passed over. */
const KNOWN = new Set('RUN COPY WORKDIR ENV USER EXPOSE STOPSIGNAL HEALTHCHECK ENTRYPOINT CMD'.split(' '));

export function stagesOf(path: string): Stage[] {
  const lines = readFileSync(path, 'utf8')
    .replace(/\\\n/g, ' ')
    .split('\n')
    .filter((line) => line.trim() !== '' && !line.startsWith('#'));
  const stages: { from: string; name: string | undefined; steps: { instruction: string; text: string }[] }[] = [];
  for (const line of lines) {
    const [, instruction = '', text = ''] = /^([A-Z]+)\s+(.*)$/.exec(line) ?? [];
    if (instruction === 'FROM') {
      const [, from = '', name] = /^(\S+)(?:\s+AS\s+(\S+))?$/.exec(text) ?? [];
      stages.push({ from, name, steps: [] });
      continue;
    }
    if (!KNOWN.has(instruction)) throw new Error(`${path}: ${line}: this instruction is not known here`);
    stages.at(-1)?.steps.push({ instruction, text });
  }
  return stages;
}

/** `COPY --from=STAGE [--chown=…] SOURCE TARGET` */
export function copyOf(text: string) {
  const [, from, owner, source, target] = /^--from=(\S+)(?: --chown=(\S+))? (\S+) (\S+)$/.exec(text) ?? [];
  if (from === undefined || source === undefined || target === undefined)
    throw new Error(`COPY ${text}: not known here`);
  return { from, owner, source, target };
}

export function settingsOf({ steps }: Stage): ImageSettings {
  const last = (instruction: string): string => steps.findLast((step) => step.instruction === instruction)?.text ?? '';
  const words = (text: string): string[] => JSON.parse(text.slice(text.indexOf('[')));
  return {
    user: last('USER'),
    environment: Object.fromEntries(
      last('ENV')
        .split(/\s+/)
        .map((pair) => pair.split(/=(.*)/s).slice(0, 2)),
    ),
    entrypoint: words(last('ENTRYPOINT')),
    command: words(last('CMD')),
    healthCheck: words(last('HEALTHCHECK')),
  };
}
