/** A request that is not answered as asked. The message is for the person who reads the response. */
export class AdminError extends Error {
  override readonly name = 'AdminError';
  readonly status: number;
  readonly code: string;
  readonly fields: Readonly<Record<string, string>>;

  constructor(status: number, code: string, message: string, fields: Readonly<Record<string, string>> = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.fields = fields;
  }
}

/** What a body or a query must be, and is not. */
export const badRequest = (message: string): AdminError => new AdminError(400, 'bad_request', message);

export const notFound = (message: string): AdminError => new AdminError(404, 'not_found', message);
