import type { Router } from '../core/contracts.ts';
import type { Routing } from '../core/stages.ts';

const DIRECT: Routing = { routes: [{ via: 'direct' }], by: { kind: 'default' } };

/** Everything goes straight to its target. */
export const directRouter: Router = { route: () => DIRECT };
