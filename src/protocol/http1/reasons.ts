import { STATUS_CODES } from '../../util/node-http.ts';

/** The reason phrase of a status; recipients ignore it, but users read it (RFC 9112 §4). */
export const reasonOf = (status: number): string => STATUS_CODES[status] ?? '';
