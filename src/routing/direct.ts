import type { Router } from '../core/contracts.ts';
import type { Route } from '../core/stages.ts';

const DIRECT: readonly Route[] = [{ via: 'direct' }];

/** Everything goes straight to its target. */
export const directRouter: Router = { routes: () => DIRECT };
