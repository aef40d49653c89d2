import type { Measurement } from '../measurement.ts';
import { bulk } from './bulk.ts';
import { coldPlain, coldSetup } from './cold.ts';
import { dashboard } from './dashboard.ts';
import { echo } from './echo.ts';
import { fleet } from './fleet.ts';
import { growth } from './growth.ts';
import { idle } from './idle.ts';
import { limited } from './limited.ts';
import { plain } from './plain.ts';
import { setup } from './setup.ts';
import { shaping } from './shaping.ts';
import { upstreams } from './upstreams.ts';
import { workers } from './workers.ts';

/** In the order of the table. */
export const MEASUREMENTS: readonly Measurement[] = [
  bulk,
  setup,
  plain,
  coldSetup,
  coldPlain,
  idle,
  echo,
  growth,
  workers,
  shaping,
  limited,
  upstreams,
  dashboard,
  fleet,
];
