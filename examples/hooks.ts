/** A proxy whose decisions are functions of a program: `node examples/hooks.ts`, after `npm run build`. */
import { startProxy } from 'viaduct';

const USERS: ReadonlyMap<string, string> = new Map([['alice', 'wonderland']]);

await using proxy = await startProxy({
  listen: 'http://127.0.0.1:0',
  // Who is asking? `null`: not known, and the client is asked again (407).
  authenticate: ({ username, password }) => (USERS.get(username) === password ? { id: username } : null),
  // May they go there? The text is what the client reads in the 403.
  authorize: (ctx) => (ctx.target.host.endsWith('.forbidden.example') ? ctx.deny('not from here') : ctx.allow()),
  // By which route? Several are tried in their order.
  route: (ctx) => (ctx.target.host.endsWith('.corp.example') ? ['http://proxy.corp.example:8080', 'direct'] : 'direct'),
});

// Every request ends in exactly one `close`, with its record; an error of a hook comes in a `notice`.
proxy.on('close', ({ record }) => console.log(record.principal, record.target?.host, record.status, record.failure));
proxy.on('notice', ({ message }) => console.error(message));

console.log(`listening on ${proxy.url}`);
await new Promise((resolve) => process.once('SIGINT', resolve).once('SIGTERM', resolve));
