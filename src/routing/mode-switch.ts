import type { Observe } from '../contracts/event.ts';
import type { ModeState, RouteMode } from '../contracts/routing.ts';
import type { Clock } from '../util/clock.ts';
import type { RoutesOptions } from './options.ts';

const CONFIGURED: ModeState = { mode: 'configured' };

export interface ModeSwitchDeps {
  readonly clock: Clock;
  readonly observe: Observe;
}

/** The mode that a person has set. Outlives reloads where it has an expiry. Disposing cancels its timer. */
export class ModeSwitch implements Disposable {
  readonly #deps: ModeSwitchDeps;
  #state = CONFIGURED;
  /** Of the clock that never goes backwards: setting the wall clock back must not prolong a mode. */
  #endsMs = Number.POSITIVE_INFINITY;
  #timer: Disposable | undefined;

  constructor(deps: ModeSwitchDeps) {
    this.#deps = deps;
  }

  get state(): ModeState {
    // A machine that slept has stopped the timer, but not the wall clock.
    if (this.#isOver) this.#end();
    return this.#state;
  }

  /** `untilMs` on the wall clock; `undefined`: until `reloaded`. */
  set(mode: RouteMode, untilMs: number | undefined): ModeState {
    const { clock } = this.#deps;
    this.#clear();
    if (mode === 'configured') return this.#state;
    this.#state = untilMs === undefined ? { mode } : { mode, untilMs };
    if (untilMs === undefined) return this.#state;
    const leftMs = Math.max(0, untilMs - clock.wallMs());
    this.#endsMs = clock.now() + leftMs;
    this.#timer = clock.after(leftMs, () => this.#end());
    return this.#state;
  }

  /** Another configuration is in force: a mode without an expiry is over. */
  reloaded(): void {
    if (this.#state.mode !== 'configured' && this.#state.untilMs === undefined) this.#end();
  }

  [Symbol.dispose](): void {
    this.#clear();
  }

  get #isOver(): boolean {
    const { untilMs } = this.#state;
    const { clock } = this.#deps;
    return untilMs !== undefined && (clock.wallMs() >= untilMs || clock.now() >= this.#endsMs);
  }

  #end(): void {
    const { mode } = this.#state;
    this.#clear();
    const message = `the mode ${mode} is over: routes are as configured`;
    this.#deps.observe({ type: 'notice', level: 'info', message });
  }

  #clear(): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
    this.#endsMs = Number.POSITIVE_INFINITY;
    this.#state = CONFIGURED;
  }
}

/** The modes that these routes have something for. */
export const modesOf = ({ pac, proxy }: Pick<RoutesOptions, 'pac' | 'proxy'>): readonly RouteMode[] => [
  'configured',
  ...(pac === 'none' ? [] : (['pac'] as const)),
  'direct',
  ...(proxy.length === 0 ? [] : (['proxy'] as const)),
];
