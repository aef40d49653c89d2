/**
 * What we use of `node:http`. An import statement reads each of its exports, and with `WebSocket` the whole of Node's undici:
 * 50 ms of every start and 14 MB of every process (Node 22 to 26). It is loaded when it is first used: a proxy listens before.
 */
export const nodeHttp = (): Pick<typeof import('node:http'), 'Agent' | 'createServer' | 'request' | 'STATUS_CODES'> =>
  process.getBuiltinModule('node:http');
