/**
 * HTTP CONNECT by example: a whole proxy in plain Node. `node examples/one-shot.ts [PORT]`, then
 * `curl -x http://127.0.0.1:9292 https://example.com/`.
 *
 * What a real proxy must do more is said where it would do it; Viaduct is that proxy.
 */
import { connect, createServer, type Socket } from 'node:net';

const HEAD_BYTES_MAX = 16_384;
const [port = '9292'] = process.argv.slice(2);

/** A tunnel: what one side sends, the other receives, until both have sent all. */
function join(client: Socket, target: Socket): void {
  // `pipe` passes on the end of each side by itself (half-close): a client that has sent all still gets its response.
  client.pipe(target).pipe(client);
  // A real proxy: counts bytes, holds limits, and closes tunnels that are silent for an hour.
}

/** A refused CONNECT closes the connection: what the client sent behind it was for the tunnel (RFC 9931). */
function refuse(client: Socket, status: string): void {
  client.resume().end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
  // A real proxy: says why in words, in Proxy-Status (RFC 9209), and writes a line to its log.
}

/** `head` ends before the blank line; `early` is what the client has sent behind it. */
function open(client: Socket, head: string, early: Buffer): void {
  // CONNECT has no default port (RFC 9110 §9.3.6), so a target without one is an error.
  const [, method, target = ''] = /^(\S+) (\S+) HTTP\/1\.[01]\r?(?:\n|$)/.exec(head) ?? [];
  if (method === undefined) return refuse(client, '400 Bad Request');
  if (method !== 'CONNECT') return refuse(client, '501 Not Implemented');
  const [, v6, name, digits] = /^(?:\[([\da-f:.]+)\]|([^\s:[\]]+)):(\d{1,5})$/i.exec(target) ?? [];
  const host = v6 ?? name;
  if (host === undefined || Number(digits) < 1 || Number(digits) > 65_535) return refuse(client, '400 Bad Request');
  // A real proxy: who asks (407), may they go there (403), which of the addresses may be dialled, by which route, how long.
  const upstream = connect({ host, port: Number(digits), allowHalfOpen: true });
  const onFailure = (): void => refuse(client, '502 Bad Gateway');
  upstream.once('error', onFailure).on('close', () => client.destroySoon());
  client.on('close', () => upstream.destroySoon());
  upstream.once('connect', () => {
    // Behind the 200 nothing of ours may be sent any more: what breaks off now is closed on both sides.
    upstream.off('error', onFailure).on('error', () => client.destroy());
    // The blank line ends the response, and the tunnel begins with the next byte: no Content-Length, no body.
    client.write('HTTP/1.1 200 Connection established\r\n\r\n');
    // A client need not wait for the 200: what it has sent early are the first bytes of the tunnel.
    upstream.write(early);
    join(client, upstream);
  });
}

// `allowHalfOpen`: a client that ends its side has only finished sending.
const server = createServer({ allowHalfOpen: true }, (client) => {
  let seen = Buffer.alloc(0);
  client.on('error', () => client.destroy());
  const onEnd = (): Socket => client.end();
  const onData = (chunk: Buffer): void => {
    // The blank line may come in pieces, in any number of packets.
    seen = Buffer.concat([seen, chunk]);
    const end = seen.indexOf('\r\n\r\n');
    if (end < 0 && seen.length <= HEAD_BYTES_MAX) return;
    client.off('data', onData).off('end', onEnd).pause();
    if (end < 0) return refuse(client, '431 Request Header Fields Too Large');
    open(client, seen.toString('latin1', 0, end), seen.subarray(end + 4));
  };
  client.on('data', onData).on('end', onEnd);
  // A real proxy: gives a client ten seconds for its head, or a thousand silent clients take all descriptors.
});
server.listen(Number(port), '127.0.0.1', () => {
  const address = server.address();
  if (typeof address === 'object') console.log(`listening on http://127.0.0.1:${address?.port}`);
});
