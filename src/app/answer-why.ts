import type { WhyAnswer, WhyQuestion } from '../admin/controlled-proxy.ts';
import { scriptUrlOf } from '../pac/script-url.ts';
import type { Services } from '../pipeline/services.ts';
import { UrlError, urlRequest } from '../pipeline/url-request.ts';
import { why } from '../pipeline/why.ts';
import { redactorOf } from '../util/redact.ts';

/** What a running proxy would decide about a URL that a client of one of its listeners asks for. */
export async function answerWhy(
  { url, from, user }: WhyQuestion,
  listener: string,
  services: Services,
): Promise<WhyAnswer> {
  try {
    const speaks = listener.startsWith('socks5:') ? 'socks5' : 'http/1.1';
    const request = urlRequest(url, { address: from, listener, speaks }, services.clock);
    const report = JSON.stringify(await why(request, { user }, services));
    // A PAC gets path and query of a plain request, and may hand them to any helper.
    return { report: redactorOf(scriptUrlOf(request).url)(report) };
  } catch (error) {
    if (error instanceof UrlError) return { problem: error.message };
    throw error;
  }
}
