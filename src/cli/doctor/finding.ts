/** What a check has found. */
export interface Finding {
  /** `note`: neither good nor bad. Only `failed` makes the whole fail. */
  readonly level: 'ok' | 'note' | 'warning' | 'failed';
  /** One sentence in plain words. */
  readonly text: string;
  /** What to do about it: a command where there is one. */
  readonly mend?: string;
}

/** One thing that doctor looks at. */
export interface Check {
  readonly name: string;
  run(patient: Patient): Promise<readonly Finding[]>;
}

/** What is looked at. */
export interface Patient {
  readonly machine: Machine;
  readonly url: URL;
  readonly proxy: MeantProxy;
  /** The proxy that answers: the running one, or one that was started for this; or why there is none. */
  readonly subject: Subject | { readonly kind: 'none'; readonly why: string; readonly mend: string };
  /** One request to the URL through it. Made once, for all checks that look at it. */
  readonly probe: Promise<Probe>;
  readonly stateDir: string;
  readonly config: Config | undefined;
}

import type { Config } from '../../config/config.ts';
import type { MeantProxy } from '../meant-proxy.ts';
import type { Machine } from '../setup/machine.ts';
import type { Probe } from './probe.ts';
import type { Subject } from './subject.ts';
