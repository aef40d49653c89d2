/** The code of an error of Node or of the system (`ENOENT`, `ERR_…`); empty for any other value. */
export const errorCode = (error: unknown): string =>
  error instanceof Error && 'code' in error ? String(error.code) : '';
