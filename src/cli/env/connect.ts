import { pipeline } from 'node:stream/promises';
import { ProxyError } from '../../contracts/failure.ts';
import { printable } from '../../observe/escape.ts';
import { formatAuthority } from '../../protocol/addresses/authority.ts';
import { quoted, redact } from '../../util/redact.ts';
import { connectVia } from '../../via/connect-via.ts';
import { answers } from '../answers.ts';
import type { Call } from '../command.ts';
import { meantProxy } from '../meant-proxy.ts';
import { UsageError } from '../print.ts';

/** `viaduct connect HOST PORT`: a tunnel through the proxy on standard input and output, until the target has ended. */
export async function run(call: Call): Promise<number> {
  const [host = '', port = ''] = call.operands;
  if (!/^\d{1,5}$/.test(port) || Number(port) > 65_535 || Number(port) === 0) {
    throw new UsageError(`${quoted(port)} is not a valid port; write 1 to 65535`);
  }
  const proxy = await meantProxy(call, process.env);
  const target = { host: host.replace(/^\[|\]$/g, ''), port: Number(port) };
  const tunnel = await connectVia(proxy.url, target, { allowHalfOpen: true }).catch(async (error: unknown) => {
    if (!(error instanceof ProxyError)) throw error;
    const isAnswering = proxy.instance !== undefined || (await answers(proxy));
    const why = isAnswering
      ? printable(error.detail)
      : 'nothing answers there; start it with viaduct run, or name another with --through';
    throw new Error(`no tunnel to ${formatAuthority(target)} through ${redact(proxy.url)}: ${why}`);
  });
  // The end of the input is passed on; the target may answer after it.
  void pipeline(process.stdin, tunnel).catch(() => undefined);
  await pipeline(tunnel, process.stdout, { end: false });
  return 0;
}
