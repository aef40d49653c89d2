import { nodeHttp } from '../../util/node-http.ts';

/** The reason phrase of a status; recipients ignore it, but users read it (RFC 9112 §4). */
export const reasonOf = (status: number): string => nodeHttp().STATUS_CODES[status] ?? '';
