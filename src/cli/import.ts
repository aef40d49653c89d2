import { basename } from 'node:path';
import { parse as parseYaml } from 'yaml';
import { readText } from '../config/file.ts';
import { pathText } from '../config/problems.ts';
import { checkInput } from '../config/schema.ts';
import type { Call } from './commands.ts';
import { importAlpaca } from './import-alpaca.ts';
import { importCntlm } from './import-cntlm.ts';
import { Draft } from './import-draft.ts';
import { importPx } from './import-px.ts';
import { out, tell, UsageError } from './print.ts';

/** `viaduct import FILE`: a configuration on standard output, what it lacks on standard error. */
export async function run({ operands: [file = ''] }: Call): Promise<number> {
  const text = readText(file);
  const draft = new Draft();
  const kind = kindOf(file, text);
  if (kind === 'px') importPx(text, draft);
  else if (kind === 'cntlm') importCntlm(text, draft, file);
  else importAlpaca(text, draft);
  const yaml = draft.yaml(basename(file));
  out(yaml.trimEnd());
  for (const { line, what, why } of draft.left.sort((a, b) => a.line - b.line))
    tell(`${file}:${line}: ${what}: ${why}`);
  for (const { path, message } of checkInput(parseYaml(yaml)).problems) {
    tell(`viaduct: mend the result at ${pathText(path)}: ${message}`);
  }
  for (const step of draft.todo) tell(`viaduct: ${step}`);
  return 0;
}

type Kind = 'px' | 'cntlm' | 'alpaca';

/** By what is in it; the name decides where that could be anything. */
function kindOf(file: string, text: string): Kind {
  if (/^\s*\[(proxy|client|settings)\]/im.test(text)) return 'px';
  if (/\b(NTLM_CREDENTIALS|NTLM_USERNAME|BASIC_CREDENTIALS|ALPACA_\w+)=/.test(text)) return 'alpaca';
  if (/(^|[\s;&|=/])alpaca(\s+-|$)/m.test(text)) return 'alpaca';
  const name = basename(file).toLowerCase();
  if (/^px.*\.ini$/.test(name)) return 'px';
  if (name.includes('cntlm') || /^\s*(username|proxy|pac|passnt\w*)\s+\S/im.test(text)) return 'cntlm';
  throw new UsageError(`${file}: is no px.ini, no cntlm.conf, and has nothing of alpaca in it`);
}
