import { signIn, signOut } from './session.ts';

/** What the API answered instead of doing what was asked; `status` 0: no response at all. */
export class ApiError extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

export type Method = 'GET' | 'POST' | 'PUT' | 'DELETE';

/** The headers of a request of this session. */
export function authorization(): Record<string, string> {
  const session = signIn.value;
  return session.at === 'signed-in' ? { authorization: `Bearer ${session.token}` } : {};
}

/** Sends a request; gives the JSON of the response, `undefined` where it has none. */
export async function request<T>(method: Method, path: string, body?: unknown): Promise<T> {
  const response = await send(method, path, body);
  if (response.status === 401) signOut('The token is no longer valid.');
  if (!response.ok) throw await errorOf(response);
  const text = await response.text();
  return (text === '' ? undefined : JSON.parse(text)) as T;
}

async function send(method: Method, path: string, body: unknown): Promise<Response> {
  try {
    return await fetch(`api/${path}`, {
      method,
      headers: { ...authorization(), ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  } catch {
    throw new ApiError(0, 'The proxy does not answer.');
  }
}

async function errorOf(response: Response): Promise<ApiError> {
  const fallback = `The proxy answered ${response.status}.`;
  try {
    const body: { error?: { message?: string } } = await response.json();
    return new ApiError(response.status, body.error?.message ?? fallback);
  } catch {
    return new ApiError(response.status, fallback);
  }
}
