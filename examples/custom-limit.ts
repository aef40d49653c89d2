/**
 * A limit that no setting has: everyone gets 1 MiB/s, and outside office hours eight times as much.
 * `node examples/custom-limit.ts`, after `npm run build`.
 */
import { startProxy } from 'viaduct';

const OFFICE_HOURS = { from: 8, until: 18 };

function rateAt(hour: number): string {
  const isOffice = hour >= OFFICE_HOURS.from && hour < OFFICE_HOURS.until;
  return isOffice ? '1MiB' : '8MiB';
}

await using proxy = await startProxy({
  listen: 'http://127.0.0.1:0',
  // Requests with the same key share one budget, equally; the latest rate holds for open requests too.
  limit: (ctx) => ({ down: [{ key: `client ${ctx.client.address}`, rate: rateAt(new Date().getHours()) }] }),
});

// The record names every limit that a request passed under.
proxy.on('close', ({ record }) => console.log(record.target?.host, record.bytesDown, record.limits.join(', ')));

console.log(`listening on ${proxy.url}`);
await new Promise((resolve) => process.once('SIGINT', resolve).once('SIGTERM', resolve));
