import type { Exporter } from '../core/contracts.ts';

/** Tells the person at the terminal what the proxy noticed about itself; requests have their own log. */
export function noticesTo(tell: (level: 'info' | 'error', line: string) => void): Exporter {
  return {
    name: 'notices',
    observe(event) {
      if (event.type !== 'notice') return;
      if (event.level === 'error') tell('error', event.message);
      else tell('info', event.message);
    },
    async [Symbol.asyncDispose]() {},
  };
}
