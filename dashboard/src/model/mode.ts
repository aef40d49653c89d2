import type { Mode } from '../api/shape.ts';

export const MODE_TEXT: Readonly<Record<Mode, string>> = {
  configured: 'routes as configured',
  pac: 'PAC',
  direct: 'direct',
  proxy: 'the configured proxies',
};
