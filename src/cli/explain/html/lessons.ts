import type { ChapterId } from '../chapters.ts';

/** What a chapter of the conversation teaches: a few sentences, what a program does there, and where ours does it. */
export interface Lesson {
  readonly text: string;
  readonly code: string;
  /** File of this project, below `src/`. */
  readonly file: string;
}

const lesson = (file: string, text: string, code: string): Lesson => ({ text, code, file });

/** One for each chapter. The code is shortened, and says what happens rather than how each error is handled. */
export const LESSONS: Readonly<Record<ChapterId, Lesson>> = {
  start: lesson(
    'clients/accept.ts',
    'Without a proxy you would look up the name of the site and connect to its address. With one you connect to the proxy, and the site has to be named in a message.',
    `const socket = net.connect(proxy.port, proxy.host);
// and not: net.connect(443, 'example.org')`,
  ),
  'ask-socks': lesson(
    'protocol/socks/socks5.ts',
    'SOCKS does what CONNECT does, in a few bytes instead of lines of text: a version, a command, a name and a port. It knows no fields, so a refusal is one number.',
    `socket.write([5, 1, 0]);             // version 5, no login
socket.write([5, CONNECT, 0, NAME, name.length, ...name,
              port >> 8, port & 255]);`,
  ),
  'ask-tunnel': lesson(
    'clients/http1/read-request.ts',
    'CONNECT names a host and a port and nothing else: no path, no body. The proxy learns where you go and not what you read there. What follows the blank line belongs to the tunnel, if one opens.',
    `socket.write('CONNECT example.org:443 HTTP/1.1\\r\\n' +
             'Host: example.org:443\\r\\n\\r\\n');`,
  ),
  'ask-url': lesson(
    'protocol/http1/request-target.ts',
    'Without a tunnel the request line holds the whole URL, since a path alone would not say which site is meant. The proxy reads all of it: method, URL, fields and body.',
    `socket.write('GET http://example.org/ HTTP/1.1\\r\\n' +
             'Host: example.org\\r\\n\\r\\n');
// to the site itself it would be: GET / HTTP/1.1`,
  ),
  work: lesson(
    'upstream/dial/tcp.ts',
    'The proxy asks its rules, chooses a route, resolves the name and connects. A name may have several addresses; when one is silent, the next is tried beside it.',
    `if (!rules.allow(user, host, port)) return refuse(403);
for (const address of await lookup(host)) {
  if (guard.denies(address)) continue;
  upstream = await connect(address, port);
}  // a silent address: the next one begins after 250 ms`,
  ),
  'next-tls': lesson(
    'upstream/tls/tls-to-proxies.ts',
    'The next proxy is an https: one: everything between the two proxies is encrypted, your request to it and its login included. Our proxy checks its certificate first. Your own TLS with the site, if there is one, goes inside.',
    `upstream = await tls(upstream, { servername: next.host });
// its certificate is verified, and ALPN agrees on HTTP/2`,
  ),
  authentication: lesson(
    'identity/clients.ts',
    '407 is not the end: it says which kinds of login the proxy accepts. You repeat the request with Proxy-Authorization, which is for this proxy alone and never goes on to the site. (401 would be the site asking.)',
    `if (status === 407) {
  const [scheme] = challenges(fields['proxy-authenticate']);
  send(request, { 'Proxy-Authorization': answerTo(scheme) });
}`,
  ),
  'next-authentication': lesson(
    'upstream-auth/auth-session.ts',
    'The next proxy wants a login, and it is our proxy that answers: your program never sees this 407. NTLM and Kerberos bind a login to the connection, so it must be kept.',
    `while (response.status === 407) {
  fields['Proxy-Authorization'] = session.answer(response);
  response = await send(request, fields);
}`,
  ),
  'pass-on-tunnel': lesson(
    'upstream/dial/http-proxy.ts',
    'There is another proxy on the way, and it is asked exactly as you asked this one: a chain of proxies is the same CONNECT again, inside the connection that the one before has opened.',
    `upstream.write(\`CONNECT \${host}:\${port} HTTP/1.1\\r\\n\\r\\n\`);`,
  ),
  'pass-on-request': lesson(
    'pipeline/outgoing-request.ts',
    'The proxy is a client now, with a connection of its own. It makes a new head: fields that concern only your hop (Connection, Proxy-Authorization and those that Connection names) stay behind, and Via says that it was here.',
    `const fields = request.fields.filter(isEndToEnd);
fields.push(['Via', '1.1 viaduct']);
upstream.write(head(method, path, fields));`,
  ),
  site: lesson(
    'upstream/http/exchange.ts',
    'The site answers the proxy, which reads the head in full before it passes anything on: where the body ends follows from it, and any doubt about that is refused.',
    `const head = await readHead(upstream);
const body = bodyOf(head);  // a length, chunks, or to the end`,
  ),
  accept: lesson(
    'pipeline/tunnel.ts',
    'The 200 has no body and no length. Behind its blank line the proxy has no say any more: what you write, the site reads, byte for byte. These three lines are the tunnel.',
    `client.write('HTTP/1.1 200 Connection established\\r\\n\\r\\n');
client.pipe(upstream);
upstream.pipe(client);`,
  ),
  refuse: lesson(
    'clients/http/refusal.ts',
    'Any 2xx opens a tunnel, everything else is an ordinary response of the proxy: no tunnel, and nothing was sent to the site. The connection is closed, since bytes that you sent early would be read as a second request.',
    `client.write(\`HTTP/1.1 \${status} \${reason}\\r\\n\` +
             'Proxy-Status: viaduct; error=…\\r\\n\\r\\n');
client.end();`,
  ),
  tls: lesson(
    'relay/flow.ts',
    'You and the site agree on keys that the proxy does not have. In the clear is the first message alone, with the name of the site in it (SNI). The certificate proves who is at the other end, so the proxy could not pretend to be the site.',
    `tls.connect({ socket, servername: 'example.org' });
// the proxy:  upstream.write(bytes)   it cannot read them`,
  ),
  'ask-through-tls': lesson(
    'relay/portable-relay.ts',
    'Now it is an ordinary request with a path. For the proxy it is a number of bytes: it can count them, slow them down, or cut them off.',
    `secure.write('GET / HTTP/1.1\\r\\nHost: example.org\\r\\n\\r\\n');
// the proxy:  count += bytes.length`,
  ),
  'ask-through-clear': lesson(
    'relay/portable-relay.ts',
    'The tunnel carries bytes of any kind, also without TLS. The proxy could read these, as every machine on the way could; it copies them all the same.',
    `socket.write('GET / HTTP/1.1\\r\\nHost: example.org\\r\\n\\r\\n');`,
  ),
  'response-of-site': lesson(
    'relay/portable-relay.ts',
    'The response comes back the same way. When one side has sent its last byte (FIN), the proxy passes that on as well, and the tunnel ends when both sides have.',
    `upstream.on('end', () => client.end());
client.on('end', () => upstream.end());`,
  ),
  'response-of-proxy': lesson(
    'pipeline/outgoing-response.ts',
    'What the site answered goes to you with a new head, made as the one of the request was. The connection to the proxy can serve your next request, to whichever site it goes.',
    `client.write(head(status, fields));
body.pipe(client);`,
  ),
  failed: lesson(
    'contracts/failure.ts',
    'Every way to fail has one row in a table: status, error type and whose doing it is. The status line carries the reason, since many programs show nothing else.',
    `dns_failed: unreached(502, 'dns_error',
                      'The host name could not be resolved.'),`,
  ),
};
