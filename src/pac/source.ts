import { join } from 'node:path';
import type { Clock } from '../core/clock.ts';
import type { Observe, Resolver } from '../core/contracts.ts';
import { unlessAborted } from '../core/deadline.ts';
import { pacAddress, shownAddress } from './address.ts';
import { type Content, type FreshContent, readPlace } from './content.ts';
import type { SystemWorld } from './discovery/world.ts';
import { type Inspect, inspectScript, rememberingLast } from './inspect.ts';
import { LastCopies } from './last-copy.ts';
import { type Found, locate, type Place } from './locate.ts';
import type { PacScript, PacSource, PacState } from './script.ts';
import { troubleOf } from './trouble.ts';

/** For settings, name servers and the script together: as long as a person waits without wondering. */
const ATTEMPT_MS_MAX = 3_000;
/** A little longer than an attempt: one that runs into its limit has to say so before anybody looks. */
const READY_MS_MAX = ATTEMPT_MS_MAX + 50;
/** A network that has just come up answers a moment later; one without the server is not asked all the time. */
const RETRY_MS_MIN = 1_000;
const RETRY_MS_MAX = 60_000;

export interface PacSourceOptions {
  /** `auto`, `system`, `none`, a URL or a path. */
  readonly pac: string;
  /**
   * What counts when the network has changed (or is not known yet) and the server of the script does not answer:
   * nothing, so that requests go direct, or the copy of it that was fetched last, perhaps on another day.
   * A server that fails while the network stays the same never costs the copy in use.
   */
  readonly whenUnreachable: 'direct' | 'last-copy';
  readonly clock: Clock;
  readonly observe: Observe;
  readonly resolver: Resolver;
  /** Whether this very proxy listens there: it is no place for its own PAC, nor a proxy to go through. */
  readonly isSelf: (address: string, port: number) => boolean;
  readonly system: SystemWorld;
  /** Calls back after a change of the file, once per burst. May throw where nothing can be watched. */
  readonly watchFile: (path: string, changed: () => void) => Disposable;
  /** Where copies outlive a restart, with `last-copy`; `undefined`: nowhere. */
  readonly stateDir: string | undefined;
  /** Says what is no script; by default V8 parses it, on a thread of its own. */
  readonly inspect?: Inspect;
}

/** Begins to read at once. */
export const pacSource = (options: PacSourceOptions): PacSource =>
  options.pac === 'none' ? NO_SOURCE : new LiveSource(options);

const NO_SOURCE: PacSource = {
  state: { at: 'none' },
  ready: Promise.resolve(),
  renew: () => undefined,
  [Symbol.asyncDispose]: () => Promise.resolve(),
};

/** Why an attempt is made. Only with the first two is the network another one than before. */
type Occasion = 'start' | 'new-network' | 'again';

/** The last good script of a place, which may be of another day. */
interface LastGood {
  readonly place: Place;
  readonly script: PacScript;
  readonly content: Content;
}

interface Attempt {
  readonly stopping: AbortController;
  readonly limit: Disposable;
}

class LiveSource implements PacSource {
  readonly ready: Promise<void>;
  readonly #options: PacSourceOptions;
  readonly #inspect: Inspect;
  readonly #copies: LastCopies | undefined;
  #state: PacState;
  #found: Found | undefined;
  #good: LastGood | undefined;
  /** The network is another one since the last answer: what was learned before may be another company's. */
  #isElsewhere = true;
  #failures = 0;
  #isOver = false;
  #attempt: Attempt | undefined;
  #running: Promise<void> = Promise.resolve();
  #next: Disposable | undefined;
  #watch: (Disposable & { readonly path: string }) | undefined;
  readonly #said = { setting: '', script: '' };
  #isReady: () => void = () => undefined;

  constructor(options: PacSourceOptions) {
    this.#options = options;
    this.#inspect = rememberingLast(options.inspect ?? inspectScript);
    const { pac, stateDir, whenUnreachable, clock } = options;
    const folder = whenUnreachable === 'last-copy' && stateDir !== undefined ? join(stateDir, 'pac') : undefined;
    this.#copies = folder === undefined ? undefined : new LastCopies(folder);
    this.#state = { at: 'unreachable', source: shown(pac), trouble: 'it has not been read yet' };
    this.ready = new Promise((resolve) => {
      // An attempt that a change of the network replaces has not ended, but nobody waits longer for the second.
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
    if (!this.#isOver) this.#begin('new-network');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true;
    this.#stop();
    this.#unwatch();
    this.#isReady();
    await this.#running;
  }

  #begin(occasion: Occasion): void {
    this.#stop();
    if (occasion !== 'again') {
      this.#isElsewhere = true;
      this.#failures = 0;
      this.#found = undefined;
    }
    const stopping = new AbortController();
    const limit = this.#options.clock.after(ATTEMPT_MS_MAX, () =>
      stopping.abort(new Error(`no answer within ${ATTEMPT_MS_MAX / 1000} seconds`)),
    );
    const attempt: Attempt = { stopping, limit };
    this.#attempt = attempt;
    const look = this.#look(stopping.signal, () => this.#attempt === attempt);
    const before = this.#running;
    // Not Promise.all: its value would hold those of all attempts that ever were.
    this.#running = look.then(() => before);
  }

  /** Ends what goes on: an attempt that runs a little longer is not heard any more. */
  #stop(): void {
    this.#next?.[Symbol.dispose]();
    this.#next = undefined;
    const attempt = this.#attempt;
    this.#attemptEnded();
    attempt?.stopping.abort(new Error('another attempt has begun'));
  }

  #attemptEnded(): void {
    this.#attempt?.limit[Symbol.dispose]();
    this.#attempt = undefined;
  }

  /** One attempt. `isCurrent`: it is still the one that is heard. Never rejects. */
  async #look(signal: AbortSignal, isCurrent: () => boolean): Promise<void> {
    let place: Place | undefined;
    try {
      const found = this.#found ?? (await unlessAborted(locate(this.#options, signal), signal));
      if (!isCurrent()) return;
      this.#found = found;
      if (found.ignored !== undefined) this.#say('setting', 'warn', found.ignored);
      if (found.kind === 'settled') return this.#settle(found.state);
      for (place of found.places) {
        const content = await this.#read(place, signal, isCurrent);
        if (!isCurrent()) return;
        // The next place gets its chance as long as there is time.
        if (content instanceof Error && place !== found.places.at(-1) && !signal.aborted) continue;
        if (content instanceof Error) throw content;
        return await this.#use(place, content);
      }
    } catch (error) {
      if (isCurrent()) this.#fail(place, troubleOf(error));
    }
  }

  async #read(place: Place, signal: AbortSignal, isCurrent: () => boolean): Promise<FreshContent | Error> {
    if (place.address.kind === 'file') this.#watchFile(place.address.path);
    else this.#unwatch();
    if (this.#good?.place.key !== place.key) await this.#takeCopy(place, isCurrent);
    const known = this.#good?.place.key === place.key ? this.#good.content : undefined;
    const { isSelf } = this.#options;
    return readPlace(place, known, { signal, isSelf, inspect: this.#inspect }).catch((error: unknown) =>
      error instanceof Error ? error : new Error(String(error)),
    );
  }

  /** What was fetched on another day stands in until the server answers. */
  async #takeCopy(place: Place, isCurrent: () => boolean): Promise<void> {
    const copy = place.address.kind === 'http' ? await this.#copies?.read(place.key) : undefined;
    if (copy === undefined || !isCurrent()) return;
    const { clock } = this.#options;
    const readMs = clock.now() - Math.max(0, clock.wallMs() - copy.fetchedMs);
    const script = { text: copy.text, source: place.shown, namedBy: copy.namedBy, readMs };
    this.#good = { place, script, content: copy };
    this.#state = { at: 'script', script, trouble: 'it is being fetched, and this is a copy of another day' };
  }

  /** There is no script, and none is missing. */
  #settle(state: PacState): void {
    this.#attemptEnded();
    this.#unwatch();
    this.#good = undefined;
    this.#state = state;
    this.#isReady();
  }

  async #use(place: Place, content: FreshContent): Promise<void> {
    this.#attemptEnded();
    const { clock } = this.#options;
    const before = this.#good?.place.key === place.key ? this.#good.content : undefined;
    const script = { text: content.text, source: place.shown, namedBy: content.namedBy, readMs: clock.now() };
    this.#good = { place, script, content };
    this.#isElsewhere = false;
    this.#failures = 0;
    this.#state = { at: 'script', script, trouble: undefined };
    this.#isReady();
    this.#say('script', ...praise(place));
    if (content.freshMs !== undefined) this.#again(content.freshMs);
    const { text, namedBy, validators } = content;
    const isKept = before?.text === text && before.validators?.etag === validators?.etag;
    if (this.#copies === undefined || validators === undefined || isKept) return;
    await this.#copies.keep(place.key, { text, namedBy, validators, fetchedMs: clock.wallMs() }).catch((error) => {
      this.#say('setting', 'warn', `a copy of the PAC cannot be kept: ${troubleOf(error)}`);
    });
  }

  #fail(place: Place | undefined, trouble: string): void {
    this.#attemptEnded();
    const source = place?.shown ?? shown(this.#options.pac);
    const good = this.#stillGood(place);
    this.#good = good;
    if (good === undefined) {
      this.#say('script', 'warn', `PAC ${source}: ${trouble}; until it can be read there is none`);
      this.#state = { at: 'unreachable', source, trouble };
    } else {
      this.#say('script', 'warn', `PAC ${source}: ${trouble}; the last good copy stays in use`);
      this.#state = { at: 'script', script: good.script, trouble };
    }
    this.#isReady();
    if (place?.address.kind === 'data') return;
    this.#again(Math.min(RETRY_MS_MAX, RETRY_MS_MIN * 2 ** this.#failures));
    this.#failures = Math.min(this.#failures + 1, 16);
  }

  /** What may stay in use although `failed` (or everything, when it is unknown) does not answer. */
  #stillGood(failed: Place | undefined): LastGood | undefined {
    const good = this.#good;
    if (good === undefined) return undefined;
    // The settings name another place by now: its proxies are not those of this one.
    if (this.#found?.kind === 'places' && !this.#found.places.some(({ key }) => key === good.place.key))
      return undefined;
    // A file that is being written says nothing about the network.
    const isLocal = failed !== undefined && failed.address.kind !== 'http';
    return isLocal || !this.#isElsewhere || this.#options.whenUnreachable === 'last-copy' ? good : undefined;
  }

  #again(delayMs: number): void {
    this.#next = this.#options.clock.after(delayMs, () => this.#begin('again'));
  }

  /** Retries have nothing new to say. */
  #say(about: 'setting' | 'script', level: 'info' | 'warn', message: string): void {
    if (message === this.#said[about]) return;
    this.#said[about] = message;
    this.#options.observe({ type: 'notice', level, message });
  }

  #watchFile(path: string): void {
    if (this.#watch?.path === path) return;
    this.#unwatch();
    try {
      const watch = this.#options.watchFile(path, () => this.#begin('again'));
      this.#watch = { path, [Symbol.dispose]: () => watch[Symbol.dispose]() };
    } catch {
      // No folder yet, or the system has no watch left to give: the file is read again from time to time anyway.
    }
  }

  #unwatch(): void {
    this.#watch?.[Symbol.dispose]();
    this.#watch = undefined;
  }
}

function praise({ shown, foundBy, namedBy }: Place): ['info' | 'warn', string] {
  if (foundBy === undefined) return ['info', `PAC ${shown}: in use`];
  if (namedBy === 'pac') return ['info', `PAC ${shown}: in use, as ${foundBy} says`];
  const caution = 'anybody on this network could have named it, and its proxies are told no credentials unless listed';
  return ['warn', `PAC ${shown}: in use, found by ${foundBy}: ${caution} in --credentials-for`];
}

/** What the user wrote, for people. */
function shown(pac: string): string {
  const address = pac === 'auto' || pac === 'system' ? undefined : pacAddress(pac);
  return address === undefined ? pac : shownAddress(address);
}
