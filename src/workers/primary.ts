import { fork } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import type { Config } from '../config/schema.ts';
import type { Clock } from '../core/clock.ts';
import type { Observe } from '../core/contracts.ts';
import { randomSuffix } from '../engine.ts';
import { LimitsOwner } from '../limits/owner.ts';
import { describe } from '../listeners/listening.ts';
import type { Listen } from '../listeners/options.ts';
import { CrewMember } from './crew-member.ts';
import { LogonDesk } from './logon-desk.ts';
import type { Membership, Settings } from './messages.ts';
import { NoticeBoard } from './notice-board.ts';
import { Ports } from './ports.ts';

/** A worker that lived this long was well: another takes its place at once. */
const STEADY_MS = 10_000;
/** One that keeps dying is started again after this, twice as long each time, at most … */
const BACKOFF_MS = 100;
const BACKOFF_MS_MAX = 10_000;
/** How long the end of a worker that has said it is done may take. */
const EXIT_MS = 1_000;

/** What the primary runs. */
export interface Program {
  readonly path: string;
  readonly args: readonly string[];
}

export interface PrimaryParts {
  readonly program: Program;
  readonly workers: number;
  readonly stateDir: string;
  readonly clock: Clock;
  readonly observe: Observe;
  readonly startedMs: number;
  readonly prompted: Membership['prompted'];
}

/** The configuration in force, and the settings from which workers make their own copy of it. */
export interface Checked {
  readonly config: Config;
  readonly values: unknown;
}

interface Slot {
  readonly at: number;
  member: CrewMember;
  startedMs: number;
  failures: number;
}

/** Watches over the processes that serve: it starts, replaces, reloads and stops them, and owns what they share. */
export class Primary implements AsyncDisposable {
  readonly #parts: PrimaryParts;
  readonly #owner: LimitsOwner;
  readonly #ports: Ports;
  readonly #desk: LogonDesk;
  readonly #board: NoticeBoard;
  readonly #suffix = randomSuffix();
  readonly #idPrefix = randomBytes(3).toString('hex');
  #checked: Checked;
  #listen: readonly Listen[] = [];
  #idKey = newIdKey();
  #slots: readonly Slot[] = [];
  /** Processes started so far: it tells their requests apart. */
  #started = 0;
  #isStopping = false;
  /** Reloads and replacements, one after another: a worker is never started with half of a reload. */
  #turn: Promise<unknown> = Promise.resolve();

  private constructor(checked: Checked, parts: PrimaryParts) {
    const { clock, observe, stateDir } = parts;
    this.#parts = parts;
    this.#checked = checked;
    this.#owner = new LimitsOwner(checked.config.limits, { clock, observe, stateDir });
    this.#ports = new Ports(observe);
    this.#desk = new LogonDesk(clock);
    this.#board = new NoticeBoard(clock, observe);
  }

  /** Resolves when all workers serve. Rejects with a ListenError, or when one of them cannot start; then none is left. */
  static async start(checked: Checked, parts: PrimaryParts): Promise<Primary> {
    const primary = new Primary(checked, parts);
    try {
      await primary.#begin();
      return primary;
    } catch (error) {
      await primary[Symbol.asyncDispose]();
      throw error;
    }
  }

  get urls(): readonly string[] {
    return this.#listen.map(describe);
  }

  /** Requests that are open in all workers. */
  get open(): Promise<number> {
    return this.#sum((member) => member.ask({ do: 'count' }));
  }

  /** All workers take the configuration, or none does and it rejects. A worker that dies meanwhile is replaced with it. */
  reload(next: Checked): Promise<void> {
    return this.#inTurn(async () => {
      const { listen, keep } = await this.#ports.find(next.config.listen);
      const members = this.#members();
      const idKey = newIdKey();
      const settings = { values: next.values, listen, idKey };
      const answers = await Promise.allSettled(
        members.map((member, at) => member.ask({ do: 'prepare', ...settingsAt(settings, at) })),
      );
      const refused = answers.find((answer, at) => answer.status === 'rejected' && members[at]?.isGone === false);
      if (refused?.status === 'rejected') {
        await Promise.allSettled(members.map((member) => member.ask({ do: 'abandon' })));
        throw refused.reason;
      }
      keep();
      this.#checked = next;
      this.#listen = listen;
      this.#idKey = idKey;
      // First here: workers speak of limits that must be known.
      this.#owner.update(next.config.limits);
      await Promise.allSettled(members.map((member) => member.ask({ do: 'commit' })));
    });
  }

  /** Called again it shortens the wait. */
  async close({ drainMs }: { readonly drainMs: number }): Promise<{ readonly cut: number }> {
    this.#isStopping = true;
    const cut = await this.#sum((member) => member.ask({ do: 'close', drainMs }));
    await this[Symbol.asyncDispose]();
    return { cut };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isStopping = true;
    const kill = this.#parts.clock.after(EXIT_MS, () => {
      for (const member of this.#members()) member.kill();
    });
    for (const member of this.#members()) member.ask({ do: 'close', drainMs: 0 }).catch(() => undefined);
    await Promise.all(this.#slots.map(({ member }) => member.gone));
    kill[Symbol.dispose]();
    await this.#owner[Symbol.asyncDispose]();
  }

  async #begin(): Promise<void> {
    const { config } = this.#checked;
    this.#slots = Array.from({ length: this.#parts.workers }, (_, at) => ({
      at,
      member: this.#fork(),
      startedMs: this.#parts.clock.now(),
      failures: 0,
    }));
    await Promise.all(this.#slots.map(({ member }) => member.loaded()));
    // As late as can be: until the workers listen, others could.
    const { listen, keep } = await this.#ports.find(config.listen);
    this.#listen = listen;
    keep();
    await Promise.all(this.#slots.map((slot) => this.#send(slot)));
    for (const slot of this.#slots) this.#watch(slot);
  }

  #fork(): CrewMember {
    const { program, clock } = this.#parts;
    const child = fork(program.path, [...program.args], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    // A process that cannot be started tells so; one that died hears nothing more.
    child.on('error', () => undefined);
    const notice = this.#board.post.bind(this.#board);
    return new CrewMember({ child, owner: this.#owner, desk: this.#desk, clock, notice });
  }

  async #send({ at, member }: Slot): Promise<void> {
    const settings = settingsAt({ values: this.#checked.values, listen: this.#listen, idKey: this.#idKey }, at);
    const idPrefix = `${this.#idPrefix}${(++this.#started).toString(36)}`;
    const { prompted, startedMs } = this.#parts;
    await member.ask({ do: 'start', ...settings, suffix: this.#suffix, idPrefix, prompted, startedMs });
  }

  /** Puts another worker into the place of one that died, after a while if it keeps dying. */
  #watch(slot: Slot): void {
    void slot.member.gone.then((how) => {
      if (this.#isStopping) return;
      const { clock } = this.#parts;
      slot.failures = clock.now() - slot.startedMs > STEADY_MS ? 0 : slot.failures + 1;
      const waitMs = slot.failures < 2 ? 0 : Math.min(BACKOFF_MS_MAX, BACKOFF_MS * 2 ** (slot.failures - 2));
      const when = waitMs === 0 ? 'now' : `in ${waitMs / 1000} s`;
      this.#board.post('error', `worker ${slot.member.pid} died (${how}); another takes its place ${when}`);
      clock.after(waitMs, () => void this.#inTurn(() => this.#replace(slot)));
    });
  }

  async #replace(slot: Slot): Promise<void> {
    if (this.#isStopping) return;
    slot.member = this.#fork();
    slot.startedMs = this.#parts.clock.now();
    this.#watch(slot);
    try {
      await slot.member.loaded();
      await this.#send(slot);
    } catch (error) {
      if (!slot.member.isGone) {
        this.#board.post('error', `worker ${slot.member.pid}: ${error instanceof Error ? error.message : error}`);
        slot.member.kill();
      }
    }
  }

  #members(): CrewMember[] {
    return this.#slots.map(({ member }) => member).filter(({ isGone }) => !isGone);
  }

  async #sum(count: (member: CrewMember) => Promise<number>): Promise<number> {
    const counts = await Promise.allSettled(this.#members().map(count));
    return counts.reduce((sum, answer) => sum + (answer.status === 'fulfilled' ? answer.value : 0), 0);
  }

  #inTurn<T>(task: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(task);
    this.#turn = result.catch(() => undefined);
    return result;
  }
}

const newIdKey = (): string => randomBytes(32).toString('base64');

/** A path can be listened on once: the first worker does. */
function settingsAt({ values, listen, idKey }: Settings, at: number): Settings {
  return { values, idKey, listen: at === 0 ? listen : listen.filter(({ kind }) => kind === 'tcp') };
}
