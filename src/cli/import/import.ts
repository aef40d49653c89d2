import { basename } from 'node:path';
import { parse as parseYaml } from 'yaml';
import { crossCheck } from '../../config/cross-checks.ts';
import { readDecoded } from '../../config/file.ts';
import { type Problem, pathText } from '../../config/problems.ts';
import { checkInput } from '../../config/schema.ts';
import { redact } from '../../util/redact.ts';
import type { Call } from '../command.ts';
import { logLine, out, UsageError } from '../print.ts';
import { importAlpaca } from './alpaca.ts';
import { importCntlm } from './cntlm.ts';
import { Draft } from './draft.ts';
import { importPx } from './px.ts';

/** `viaduct import FILE`: a configuration on standard output, what it lacks on standard error. */
export async function run({ operands: [file = ''] }: Call): Promise<number> {
  const { text, encoding } = readDecoded(file);
  const draft = new Draft();
  const kind = kindOf(file, text);
  if (kind === 'px') importPx(text, draft);
  else if (kind === 'cntlm') importCntlm(text, draft, file);
  else importAlpaca(text, draft);
  const yaml = draft.yaml(basename(file));
  out(yaml.trimEnd());
  for (const { line, what, why } of draft.skipped.sort((a, b) => a.line - b.line))
    logLine(`${file}:${line}: ${what}: ${why}`);
  if (encoding === 'windows-1252')
    logLine(`viaduct: ${file}: is not UTF-8; letters beyond ASCII were read as Windows-1252`);
  for (const { path, message } of problemsOf(yaml)) {
    logLine(`viaduct: correct the result at ${pathText(path)}: ${message}`);
  }
  for (const step of draft.todo) logLine(`viaduct: ${step}`);
  return 0;
}

/** What `viaduct check` would say about the result. */
function problemsOf(yaml: string): readonly Problem[] {
  const { config, problems } = checkInput(parseYaml(yaml));
  return config === undefined ? problems : crossCheck(config, { environment: process.env });
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
  throw new UsageError(
    `${redact(file)}: is neither a px.ini nor a cntlm.conf, and has no variables or flags of alpaca`,
  );
}
