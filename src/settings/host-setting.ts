import { domainToASCII } from 'node:url';
import * as z from 'zod';
import { isAddressBlock } from './address-setting.ts';

/** Only the `options.ts` of modules import this, as with `duration-setting.ts`. */

const NAME_PATTERN = /^\.?(?:[a-z0-9_*-]{1,63}\.)*[a-z0-9_*-]{1,63}\.?$/i;
const MAY_BE_A_BLOCK = /:|^\d/;
const LOOKS_LIKE_AN_ADDRESS = /(?:^|\.)(?:\d+|0x[0-9a-f]*)\.?$/i;

/** `münchen.example` as resolvers know it. ASCII stays as it is: a URL parser would turn `0x7f.1` into an address. */
const toAscii = (name: string): string => (/^[\0-\x7f]*$/.test(name) ? name : domainToASCII(name.normalize('NFC')));

function isHostPattern(text: string): boolean {
  const bracketed = text.startsWith('[') ? /^\[(.*)\]$/.exec(text)?.[1] : undefined;
  if (bracketed !== undefined) return bracketed.includes(':') && isAddressBlock(bracketed);
  if (MAY_BE_A_BLOCK.test(text) && isAddressBlock(text)) return true;
  if (!NAME_PATTERN.test(text)) return false;
  return text.includes('*') ? !text.startsWith('.') : !LOOKS_LIKE_AN_ADDRESS.test(text);
}

/**
 * Hosts as every section of the configuration names them: a name, `.suffix` (the domain and all below it), a name with
 * `*` for any run of characters, an address or a block. Names of other scripts become what resolvers know.
 */
export const hostPattern: z.ZodType<string, string> = z.string().transform((text, context) => {
  // In one step: a configuration may have a hundred thousand of them.
  const host = toAscii(text);
  if (isHostPattern(host)) return host;
  const message = 'is not a valid host; write a name, .suffix, a name with *, an address or a block';
  context.addIssue({ code: 'custom', message });
  return z.NEVER;
});
