import { type Duplex, duplexPair } from 'node:stream';
import { askHook } from '../contracts/ask-hook.ts';
import { HookContext } from '../contracts/context.ts';
import { awaitDecision } from '../contracts/deadline.ts';
import type { ClientInfo, TunnelRequest } from '../contracts/request.ts';
import type { AdmittedRequest, Connection } from '../contracts/stages.ts';
import type { TunnelEnd, TunnelHook } from '../contracts/tunnel-hook.ts';
import { StreamWire } from '../net/node-wire.ts';
import type { Clock } from '../util/clock.ts';

const NOTHING = Buffer.alloc(0);

/** The connection that the hook gives; `undefined`: the request goes on. */
export function ownTunnel(
  hook: TunnelHook,
  { request, principal }: AdmittedRequest<TunnelRequest>,
  clock: Clock,
): Connection | undefined | Promise<Connection | undefined> {
  const asked = askHook(
    'tunnel',
    () => hook(new HookContext(request, principal)),
    (answer) => (answer === null || answer === undefined ? undefined : connectionTo(answer, request.client)),
  );
  if (!(asked instanceof Promise)) return asked;
  const checked = asked.then((connection) => {
    // Its client has left meanwhile.
    if (request.signal.aborted) connection?.[Symbol.dispose]();
    return connection;
  });
  return awaitDecision(checked, { signal: request.signal, clock }, 'tunnel');
}

/** A program may be written in JavaScript, so the type of its answer is checked. */
function connectionTo(end: TunnelEnd, client: ClientInfo): Connection {
  if (isDuplex(end)) return connectionOver(end);
  if (typeof end !== 'object' || typeof end.emit !== 'function') {
    throw new TypeError('returned neither a Duplex nor a server');
  }
  const [ours, theirs] = duplexPair();
  const connection = connectionOver(ours);
  // Of two ends of a pair neither hears when the other is destroyed.
  ours.once('close', () => theirs.destroy());
  theirs.once('close', () => ours.destroy()).on('error', () => undefined);
  end.emit('connection', Object.assign(theirs, { remoteAddress: client.address, remotePort: client.port }));
  return connection;
}

function connectionOver(stream: Duplex): Connection {
  if (stream.destroyed) throw new TypeError('returned a stream that is destroyed');
  const wire = new StreamWire(stream);
  return { wire, early: NOTHING, address: undefined, [Symbol.dispose]: () => void stream.destroy() };
}

/** By shape: a stream of another realm or of a package is no `instanceof` ours. */
const isDuplex = (end: TunnelEnd): end is Duplex =>
  typeof end === 'object' && 'write' in end && 'pipe' in end && typeof end.write === 'function';
