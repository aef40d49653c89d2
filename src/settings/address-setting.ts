import { isIP } from 'node:net';
import * as z from 'zod';

/** Only the `options.ts` of modules import this, as with `duration-setting.ts`. */

/** `10.0.0.0/8`, `fd00::/8`, or one address without a length. No zone id: it means something on one machine only. */
export function isAddressBlock(text: string): boolean {
  const [address = '', bits, ...more] = text.split('/');
  const family = address.includes('%') ? 0 : isIP(address);
  if (family === 0 || more.length > 0) return false;
  return bits === undefined || (/^(?:0|[1-9]\d{0,2})$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128));
}

export const addressBlock: z.ZodType<string, string> = z
  .string({
    error: 'is not a valid address; write for example 10.0.0.0/8 or "::1", in quotes where it begins with a colon',
  })
  .refine(
    isAddressBlock,
    'is neither a valid address nor a block of addresses; write for example 10.0.0.1 or 10.0.0.0/8',
  );
