import { signal } from '@preact/signals';

/** sessionStorage belongs to one origin with its port; a cookie would be shared with every other port of the host. */
const KEY = 'viaduct.token';

export type SignIn =
  | { readonly at: 'starting' }
  | { readonly at: 'signed-in'; readonly token: string }
  | { readonly at: 'signed-out'; readonly why: string };

export const signIn = signal<SignIn>({ at: 'starting' });

/** Takes the one-time code out of the address, or the token of this tab. */
export async function startSession(): Promise<void> {
  const code = codeIn(location.hash);
  if (code !== undefined) {
    // Before anything else, so that the code is in no history entry, bookmark or screenshot.
    history.replaceState(null, '', location.pathname + location.search);
    await exchange(code);
    return;
  }
  const token = sessionStorage.getItem(KEY);
  signIn.value = token === null ? { at: 'signed-out', why: '' } : { at: 'signed-in', token };
}

/** `#code=…` or the bare code; places within the page begin with `#/`. */
export function codeIn(hash: string): string | undefined {
  const text = hash.replace(/^#/, '');
  if (text === '' || text.startsWith('/')) return undefined;
  return new URLSearchParams(text).get('code') ?? (text.includes('=') ? undefined : text);
}

/** Exchanges a one-time code for the token. */
export async function exchange(code: string): Promise<void> {
  try {
    const response = await fetch('api/session', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ code }),
    });
    const body: { token?: string } = response.ok ? await response.json() : {};
    if (body.token !== undefined) keep(body.token);
    else signOut('The link has been used already or is older than 10 minutes.');
  } catch {
    signOut('The proxy did not answer. Is it running?');
  }
}

export function keep(token: string): void {
  sessionStorage.setItem(KEY, token);
  signIn.value = { at: 'signed-in', token };
}

export function signOut(why: string): void {
  sessionStorage.removeItem(KEY);
  signIn.value = { at: 'signed-out', why };
}
