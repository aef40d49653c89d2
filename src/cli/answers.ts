import { connect } from 'node:net';
import type { MeantProxy } from './meant-proxy.ts';

/** A listener of this machine answers within a millisecond. */
const ANSWER_MS_MAX = 1_000;

/** Whether something listens there now. */
export function answers({ host, port }: Pick<MeantProxy, 'host' | 'port'>): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: ANSWER_MS_MAX });
    const done = (is: boolean) => {
      socket.destroy();
      resolve(is);
    };
    socket.once('connect', () => done(true));
    socket.once('error', () => done(false));
    socket.once('timeout', () => done(false));
  });
}
