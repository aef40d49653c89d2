import { join } from 'node:path';
import { unlessAborted } from '../../contracts/deadline.ts';
import type { SecureHop } from '../../contracts/dialing.ts';
import type { Observe } from '../../contracts/event.ts';
import type { Resolver } from '../../contracts/resolver.ts';
import type { Clock } from '../../util/clock.ts';
import { type LocateResult, locatePac, type PacLocation } from '../discovery/locate.ts';
import type { SystemWorld } from '../discovery/world.ts';
import type { PacScript, PacSource, PacState } from '../script.ts';
import { shownPac } from './address.ts';
import { ATTEMPT_MS_MAX, type Attempt, Attempts } from './attempts.ts';
import { type Content, type FreshContent, readLocation, scriptFrom } from './content.ts';
import { failureKindOf, failureText } from './failure.ts';
import { FileWatch, type WatchFile } from './file-watch.ts';
import { inUseNotice } from './in-use-notice.ts';
import { cachingLast, type Inspect, scriptInspector } from './inspect.ts';
import { ScriptCache } from './script-cache.ts';

/** A little longer than an attempt: the failure of one that runs into its limit is reported before the first request. */
const READY_MS_MAX = ATTEMPT_MS_MAX + 50;
/** A network that has just come up answers a moment later; one without the server is tried more and more rarely. */
const RETRY_MS_MIN = 1_000;
const RETRY_MS_MAX = 60_000;

export interface PacSourceOptions {
  /** `auto`, `system`, `none`, a URL or a path. */
  readonly pac: string;
  /**
   * What is used when the network has changed (or is not known yet) and the server of the script does not answer: no
   * script, so that requests go direct, or the copy that was fetched last. When a server fails while the network stays
   * the same, the script in use stays.
   */
  readonly whenUnreachable: 'direct' | 'last-copy';
  /** What happens to requests while there is no script, for messages. Default: they go direct. */
  readonly ifUnreachable?: 'direct' | 'refuse';
  readonly clock: Clock;
  readonly observe: Observe;
  readonly resolver: Resolver;
  /** Whether this proxy itself listens there: it cannot be the server of its own PAC, nor an upstream proxy. */
  readonly isSelf: (address: string, port: number) => boolean;
  /** TLS with the server of an `https:` URL. */
  readonly secure: SecureHop;
  readonly system: SystemWorld;
  readonly watchFile: WatchFile;
  /** Where scripts are cached for the next start, with `last-copy`; `undefined`: nowhere. */
  readonly stateDir: string | undefined;
  /** Finds out what is not a script. Default: V8 parses the text on a thread of its own. */
  readonly inspect?: Inspect;
}

/** Begins the first attempt at once. */
export const pacSource = (options: PacSourceOptions): PacSource =>
  options.pac === 'none' ? NO_SOURCE : new LiveSource(options);

const NO_SOURCE: PacSource = {
  state: { at: 'none' },
  ready: Promise.resolve(),
  renew: () => undefined,
  [Symbol.asyncDispose]: () => Promise.resolve(),
};

/** Why an attempt is made. Only with the first two is the network another one than before. */
type Occasion = 'start' | 'new-network' | 'retry';

/** The last good script of a location; it may come from the cache. */
interface LastGood {
  readonly location: PacLocation;
  readonly script: PacScript;
  readonly content: Content;
}

class LiveSource implements PacSource {
  readonly ready: Promise<void>;
  readonly #options: PacSourceOptions;
  readonly #inspect: Inspect;
  readonly #cache: ScriptCache | undefined;
  readonly #attempts: Attempts;
  readonly #file: FileWatch;
  #state: PacState;
  #located: LocateResult | undefined;
  #good: LastGood | undefined;
  /** No script has been read on this network yet: what was read before may be another company's. */
  #isNewNetwork = true;
  #failures = 0;
  #isDisposed = false;
  readonly #reported = { setting: '', script: '' };
  #isReady: () => void = () => undefined;

  constructor(options: PacSourceOptions) {
    this.#options = options;
    const { pac, stateDir, whenUnreachable, clock } = options;
    this.#inspect = cachingLast(options.inspect ?? scriptInspector(clock));
    const folder = whenUnreachable === 'last-copy' && stateDir !== undefined ? join(stateDir, 'pac') : undefined;
    this.#cache =
      folder === undefined ? undefined : new ScriptCache(folder, (message) => this.#notice('setting', 'warn', message));
    this.#attempts = new Attempts(clock, (attempt) => this.#runAttempt(attempt));
    this.#file = new FileWatch(options.watchFile, () => this.#begin('retry'));
    this.#state = { at: 'unreachable', source: shownPac(pac), failure: 'it has not been read yet' };
    this.ready = new Promise((resolve) => {
      // An attempt that a change of the network replaces has not ended, but the start does not wait longer for the second.
      const limit = clock.after(READY_MS_MAX, resolve);
      this.#isReady = () => {
        limit[Symbol.dispose]();
        resolve();
      };
    });
    this.#begin('start');
  }

  get state(): PacState {
    return this.#state;
  }

  renew(): void {
    if (!this.#isDisposed) this.#begin('new-network');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isDisposed = true;
    this.#file[Symbol.dispose]();
    const ended = this.#attempts[Symbol.asyncDispose]();
    this.#isReady();
    await ended;
  }

  #begin(occasion: Occasion): void {
    if (occasion !== 'retry') {
      this.#isNewNetwork = true;
      this.#failures = 0;
      this.#located = undefined;
    }
    this.#attempts.begin();
  }

  /** Never rejects. */
  async #runAttempt(attempt: Attempt): Promise<void> {
    const { signal } = attempt;
    let location: PacLocation | undefined;
    try {
      const located = this.#located ?? (await unlessAborted(locatePac(this.#options, signal), signal));
      if (!attempt.isCurrent()) return;
      this.#located = located;
      if (located.ignored !== undefined) this.#notice('setting', 'warn', located.ignored);
      if (located.kind === 'settled') return this.#settle(attempt, located.state);
      for (location of located.locations) {
        const content = await this.#read(location, attempt);
        if (!attempt.isCurrent()) return;
        // The next location is tried as long as there is time.
        if (content instanceof Error && location !== located.locations.at(-1) && !signal.aborted) continue;
        if (content instanceof Error) throw content;
        return await this.#use(attempt, location, content);
      }
    } catch (error) {
      if (attempt.isCurrent()) this.#fail(attempt, location, error);
    }
  }

  async #read(location: PacLocation, attempt: Attempt): Promise<FreshContent | Error> {
    this.#file.follow(location.address.kind === 'file' ? location.address.path : undefined);
    if (this.#good?.location.key !== location.key) await this.#useCached(location, attempt);
    const known = this.#good?.location.key === location.key ? this.#good.content : undefined;
    const { isSelf, secure } = this.#options;
    const scope = { signal: attempt.signal, isSelf, secure, inspect: this.#inspect };
    return readLocation(location, known, scope).catch((error: unknown) =>
      error instanceof Error ? error : new Error(String(error)),
    );
  }

  /** A script that was fetched before a restart is used until the server answers. */
  async #useCached(location: PacLocation, attempt: Attempt): Promise<void> {
    const cached = location.address.kind === 'http' ? await this.#cache?.read(location.key) : undefined;
    if (cached === undefined || !attempt.isCurrent()) return;
    const { clock } = this.#options;
    const readMs = clock.now() - Math.max(0, clock.wallMs() - cached.fetchedMs);
    const script = scriptFrom(location, cached, readMs);
    this.#good = { location, script, content: cached };
    this.#state = { at: 'script', script, failure: 'it is being fetched, and this is a cached copy' };
  }

  /** There is no script, and none is missing. */
  #settle(attempt: Attempt, state: PacState): void {
    attempt.finish();
    this.#file.follow(undefined);
    this.#good = undefined;
    this.#state = state;
    this.#isReady();
  }

  async #use(attempt: Attempt, location: PacLocation, content: FreshContent): Promise<void> {
    attempt.finish();
    const { clock } = this.#options;
    const before = this.#good?.location.key === location.key ? this.#good.content : undefined;
    const script = scriptFrom(location, content, clock.now());
    this.#good = { location, script, content };
    this.#isNewNetwork = false;
    this.#failures = 0;
    this.#state = { at: 'script', script, failure: undefined };
    this.#isReady();
    this.#notice('script', ...inUseNotice(location));
    if (content.freshMs !== undefined) this.#retryAfter(content.freshMs);
    const { text, namedBy, validators } = content;
    const isCached =
      before?.text === text && before.namedBy === namedBy && before.validators?.etag === validators?.etag;
    if (this.#cache === undefined || validators === undefined || isCached) return;
    await this.#cache.keep(location.key, { text, namedBy, validators, fetchedMs: clock.wallMs() }).catch((error) => {
      this.#notice('setting', 'warn', `the PAC cannot be cached for the next start: ${failureText(error)}`);
    });
  }

  #fail(attempt: Attempt, location: PacLocation | undefined, error: unknown): void {
    attempt.finish();
    const failure = failureText(error);
    const failedAs = failureKindOf(location, error);
    const source = location?.shown ?? shownPac(this.#options.pac);
    const good = this.#usableAfterFailure(location);
    this.#good = good;
    if (good === undefined) {
      const isRefusing = this.#options.ifUnreachable === 'refuse' && failedAs === 'unreachable';
      const remedy = isRefusing
        ? '; with --direct-fallback (routes.unreachable: direct) requests go direct meanwhile'
        : '';
      this.#notice('script', 'warn', `PAC ${source}: ${failure}; until it can be read there is none${remedy}`);
      this.#state = { at: 'unreachable', source, failure: failure, failedAs };
    } else {
      this.#notice('script', 'warn', `PAC ${source}: ${failure}; the last good copy stays in use`);
      this.#state = { at: 'script', script: good.script, failure, failedAs };
    }
    this.#isReady();
    if (location?.address.kind === 'data') return;
    this.#retryAfter(Math.min(RETRY_MS_MAX, RETRY_MS_MIN * 2 ** this.#failures));
    this.#failures = Math.min(this.#failures + 1, 16);
  }

  /** The script that stays in use although `failed`, or every location where it is unknown, could not be read. */
  #usableAfterFailure(failed: PacLocation | undefined): LastGood | undefined {
    const good = this.#good;
    if (good === undefined) return undefined;
    // The settings name another location by now, and its proxies are not those of this script.
    if (this.#located?.kind === 'locations' && !this.#located.locations.some(({ key }) => key === good.location.key))
      return undefined;
    // That a file cannot be read, e.g. while it is written, says nothing about the network.
    const isLocal = failed !== undefined && failed.address.kind !== 'http';
    return isLocal || !this.#isNewNetwork || this.#options.whenUnreachable === 'last-copy' ? good : undefined;
  }

  #retryAfter(delayMs: number): void {
    this.#attempts.schedule(delayMs, () => this.#begin('retry'));
  }

  /** Leaves out a message that repeats the last one, as those of retries do. */
  #notice(about: 'setting' | 'script', level: 'info' | 'warn', message: string): void {
    if (message === this.#reported[about]) return;
    this.#reported[about] = message;
    this.#options.observe({ type: 'notice', level, message });
  }
}
