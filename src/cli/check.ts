import { FLAGS } from '../config/flags.ts';
import { settingsInForce } from '../config/provenance.ts';
import { configDefaults } from '../config/schema.ts';
import { type Given, load } from '../config/sources.ts';
import { activeRelay } from '../relay/choose.ts';
import type { Call } from './commands.ts';
import { out, tell } from './print.ts';

/** `viaduct check [FILE]`: the merged settings and the origin of each; throws what is wrong with them. */
export async function run({ operands, settings }: Call): Promise<number> {
  const [file] = operands;
  const named = file === undefined ? settings : [...settings, configFlag(file)];
  const loaded = load({ flags: named, environment: process.env, isTerminal: process.stdout.isTTY === true });
  for (const notice of loaded.notices) tell(`viaduct: ${notice}`);
  const shown = settingsInForce(loaded.values, configDefaults(), loaded.provenance);
  const width = (pick: (one: (typeof shown)[number]) => string) => Math.max(...shown.map((one) => pick(one).length));
  const [pathWidth, valueWidth] = [
    width(({ path }) => path),
    Math.min(
      60,
      width(({ value }) => value),
    ),
  ];
  for (const { path, value, origin } of shown) {
    out(`${path.padEnd(pathWidth)}  ${value.padEnd(valueWidth)}  # ${origin}`);
  }
  out(`relay on this machine: ${activeRelay(loaded.config.relay)}`);
  out(loaded.file === undefined ? 'valid; no configuration file' : `valid: ${loaded.file.name}`);
  return 0;
}

function configFlag(file: string): Given {
  const flag = FLAGS.find(({ name }) => name === 'config');
  if (flag === undefined) throw new Error('there is no flag --config');
  return { flag, text: file, label: '--config' };
}
