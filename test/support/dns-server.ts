import { createSocket } from 'node:dgram';
import { Resolver } from 'node:dns/promises';
import { once } from 'node:events';

/** What a name server answers to a query: an IPv4 address, a response code (RFC 1035 §4.1.1), or nothing. */
export type DnsResponse = { readonly address: string } | { readonly code: number } | 'nothing';

export interface DnsServer extends AsyncDisposable {
  readonly questions: number;
  /** Every name that was queried, once. */
  readonly names: ReadonlySet<string>;
  /** Queries this server only. */
  lookup(host: string): Promise<readonly string[]>;
}

/** A name server on loopback, so that a failing name really fails. Its responses may depend on the name. */
export async function dnsServer(
  responses: DnsResponse | ((name: string) => DnsResponse),
  port = 0,
): Promise<DnsServer> {
  const socket = createSocket('udp4').bind(port, '127.0.0.1');
  await once(socket, 'listening');
  let questions = 0;
  const names = new Set<string>();
  socket.on('message', (question, from) => {
    questions += 1;
    const name = nameIn(question);
    names.add(name);
    const response = typeof responses === 'function' ? responses(name) : responses;
    if (response !== 'nothing') socket.send(answerTo(question, response), from.port, from.address);
  });
  const resolver = new Resolver({ timeout: 5_000, tries: 1 });
  resolver.setServers([`127.0.0.1:${socket.address().port}`]);
  return {
    get questions() {
      return questions;
    },
    names,
    lookup: (host) => resolver.resolve4(host),
    async [Symbol.asyncDispose]() {
      resolver.cancel();
      const closed = once(socket, 'close');
      socket.close();
      await closed;
    },
  };
}

/** Labels, each behind its length, up to an empty one (RFC 1035 §4.1.2). */
function nameIn(question: Buffer): string {
  const labels: string[] = [];
  for (let at = 12; (question[at] ?? 0) > 0; at += 1 + (question[at] ?? 0))
    labels.push(question.toString('latin1', at + 1, at + 1 + (question[at] ?? 0)));
  return labels.join('.').toLowerCase();
}

const TYPE_A = 1;

function answerTo(question: Buffer, response: Exclude<DnsResponse, 'nothing'>): Buffer {
  const end = question.indexOf(0, 12) + 5;
  const head = Buffer.from(question.subarray(0, end));
  head.writeUInt16BE(0x8180 | ('code' in response ? response.code : 0), 2);
  const isAnswered = 'address' in response && question.readUInt16BE(end - 4) === TYPE_A;
  head.writeUInt16BE(isAnswered ? 1 : 0, 6);
  head.writeUInt32BE(0, 8);
  if (!isAnswered) return head;
  // A pointer to the name in the question, type A, class IN, a minute, four octets.
  const octets = response.address.split('.').map(Number);
  return Buffer.concat([head, Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, ...octets])]);
}
