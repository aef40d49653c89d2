import { getSystemErrorName } from 'node:util';

/** What the system says by a number, as Node says it. */
export function systemError(errno: number, doing: string): NodeJS.ErrnoException {
  const code = getSystemErrorName(-errno);
  return Object.assign(new Error(`${doing} ${code}`), { code, errno: -errno, syscall: doing });
}
