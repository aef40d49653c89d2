import { STATUS_CODES } from 'node:http';

/** The phrase behind a status; no recipient reads it, but people do (RFC 9112 §4). */
export const reasonOf = (status: number): string => STATUS_CODES[status] ?? '';
