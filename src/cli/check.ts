import { FLAGS, type FlagValue } from '../config/flags.ts';
import { type ShownSetting, settingsInForce } from '../config/provenance.ts';
import { configDefaults } from '../config/schema.ts';
import { load } from '../config/sources.ts';
import { stateFolder } from '../files/state-folder.ts';
import { activeRelay } from '../relay/choose-relay.ts';
import { redact } from '../util/redact.ts';
import type { Call } from './command.ts';
import { modeText } from './mode.ts';
import { modeInForce } from './mode-in-force.ts';
import { logLine, out } from './print.ts';
import { readSystemBefore, shownBefore } from './setup/system-before.ts';

/** `viaduct check [FILE]`: the merged settings and the origin of each; throws what is wrong with them. */
export async function run({ operands, settings }: Call): Promise<number> {
  const [file] = operands;
  const named = file === undefined ? settings : [...settings, configFlag(file)];
  const loaded = load({ flags: named, environment: process.env, isTerminal: process.stdout.isTTY === true });
  for (const notice of loaded.notices) logLine(`viaduct: ${notice}`);
  const inForce = settingsInForce(loaded.values, configDefaults(), loaded.provenance);
  const shown = [...inForce, ...systemBeforeSetup(loaded.config.routes.pac)];
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
  const { mode, untilMs } = await modeInForce(loaded.config, stateFolder(process.env));
  if (mode !== 'configured') {
    const until = untilMs === undefined ? undefined : new Date(untilMs).toISOString();
    out(`mode of the running proxy: ${modeText(mode, until)}; viaduct mode configured ends it`);
  }
  out(loaded.file === undefined ? 'valid; no configuration file' : `valid: ${loaded.file.name}`);
  return 0;
}

/** What `system` stands for since `viaduct setup` has made the system's own setting lead to us. */
function systemBeforeSetup(pac: string): readonly ShownSetting[] {
  const known = pac === 'system' || pac === 'auto' ? readSystemBefore(stateFolder(process.env)) : undefined;
  const value = known && shownBefore(known);
  return value === undefined ? [] : [{ path: `routes.pac (${pac})`, value: redact(value), origin: 'setup' }];
}

function configFlag(file: string): FlagValue {
  const flag = FLAGS.find(({ name }) => name === 'config');
  if (flag === undefined) throw new Error('there is no flag --config');
  return { flag, text: file, label: '--config' };
}
