import { createSocket } from 'node:dgram';
import { Resolver } from 'node:dns/promises';
import { once } from 'node:events';

/** What a name server says to every question: an IPv4 address, a response code (RFC 1035 §4.1.1), or nothing. */
export type Saying = { readonly address: string } | { readonly code: number } | 'nothing';

export interface DnsServer extends AsyncDisposable {
  readonly questions: number;
  /** Asks this server and nobody else. */
  lookup(host: string): Promise<readonly string[]>;
}

/** A name server on loopback, so that a failing name really fails. */
export async function dnsServer(saying: Saying): Promise<DnsServer> {
  const socket = createSocket('udp4').bind(0, '127.0.0.1');
  await once(socket, 'listening');
  let questions = 0;
  socket.on('message', (question, from) => {
    questions += 1;
    if (saying !== 'nothing') socket.send(answerTo(question, saying), from.port, from.address);
  });
  const resolver = new Resolver({ timeout: 5_000, tries: 1 });
  resolver.setServers([`127.0.0.1:${socket.address().port}`]);
  return {
    get questions() {
      return questions;
    },
    lookup: (host) => resolver.resolve4(host),
    async [Symbol.asyncDispose]() {
      resolver.cancel();
      const closed = once(socket, 'close');
      socket.close();
      await closed;
    },
  };
}

function answerTo(question: Buffer, saying: Exclude<Saying, 'nothing'>): Buffer {
  const end = question.indexOf(0, 12) + 5;
  const head = Buffer.from(question.subarray(0, end));
  head.writeUInt16BE(0x8180 | ('code' in saying ? saying.code : 0), 2);
  head.writeUInt16BE('code' in saying ? 0 : 1, 6);
  head.writeUInt32BE(0, 8);
  if ('code' in saying) return head;
  // A pointer to the name in the question, type A, class IN, a minute, four octets.
  const octets = saying.address.split('.').map(Number);
  return Buffer.concat([head, Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, ...octets])]);
}
