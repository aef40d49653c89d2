import type { Clock } from '../../util/clock.ts';
import type { ApiClient } from './api-client.ts';
import { type FrameState, frame } from './frame.ts';
import { LiveTable, SORTS } from './live-table.ts';
import { Terminal, type TerminalStreams } from './terminal.ts';

export interface LiveViewDeps {
  readonly api: Pick<ApiClient, 'events' | 'end'>;
  readonly streams: TerminalStreams;
  readonly clock: Clock;
}

const KEYS = 'q quit  arrows select  s sort  r reverse  / filter  x end  p pause';
/** Between two tries to reach a proxy that has gone away. */
const RETRY_MS = 1_000;

type Mode =
  | { readonly at: 'table' }
  | { readonly at: 'filter'; readonly before: string }
  | { readonly at: 'confirm'; readonly id: string };

/** The table in a terminal, until a key or `stop` quits. */
export class LiveView {
  readonly #deps: LiveViewDeps;
  readonly #table = new LiveTable();
  readonly #stopped = new AbortController();
  #terminal: Terminal | undefined;
  #mode: Mode = { at: 'table' };
  #message = 'connecting';
  #state: Omit<FrameState, 'prompt'> = {
    sort: 'rate',
    order: 'first',
    filter: '',
    selected: undefined,
    isPaused: false,
  };

  constructor(deps: LiveViewDeps) {
    this.#deps = deps;
  }

  stop(): void {
    this.#stopped.abort();
  }

  /** Resolves when it was quit; the terminal is as it was before. */
  async run(): Promise<void> {
    using terminal = new Terminal(
      this.#deps.streams,
      (key) => this.#key(key),
      () => this.#draw(),
    );
    this.#terminal = terminal;
    this.#draw();
    while (!this.#stopped.signal.aborted) {
      await this.#follow();
      if (!this.#stopped.signal.aborted) await this.#wait();
    }
    this.#terminal = undefined;
  }

  async #follow(): Promise<void> {
    try {
      for await (const { name, data } of this.#deps.api.events(this.#stopped.signal)) {
        this.#message = '';
        this.#table.apply(name, data);
        if (!this.#state.isPaused) this.#draw();
      }
      this.#message = 'the proxy has closed the connection; trying again';
    } catch (error) {
      this.#message = `${error instanceof Error ? error.message : error}; trying again`;
    }
    this.#draw();
  }

  #wait(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = this.#deps.clock.after(RETRY_MS, resolve);
    this.#stopped.signal.addEventListener('abort', () => resolve(), { once: true });
    return promise.finally(() => timer[Symbol.dispose]());
  }

  #key(key: string): void {
    if (key === 'quit') return this.stop();
    if (this.#mode.at === 'filter') this.#filterKey(key, this.#mode.before);
    else if (this.#mode.at === 'confirm') this.#confirmKey(key, this.#mode.id);
    else this.#tableKey(key);
    this.#draw();
  }

  #tableKey(key: string): void {
    const { sort, order, isPaused, selected, filter } = this.#state;
    this.#message = '';
    switch (key) {
      case 'q':
        return this.stop();
      case 's':
        return this.#change({ sort: SORTS[(SORTS.indexOf(sort) + 1) % SORTS.length] ?? 'rate', order: 'first' });
      case 'r':
        return this.#change({ order: order === 'first' ? 'reversed' : 'first' });
      case 'p':
        return this.#change({ isPaused: !isPaused });
      case 'up':
      case 'k':
        return this.#move(-1);
      case 'down':
      case 'j':
        return this.#move(1);
      case 'escape':
        return this.#change({ filter: '' });
      case '/':
        this.#mode = { at: 'filter', before: filter };
        return;
      case 'x':
      case 'delete':
        if (selected !== undefined) this.#mode = { at: 'confirm', id: selected };
        return;
    }
  }

  #filterKey(key: string, before: string): void {
    const { filter } = this.#state;
    if (key === 'enter') this.#mode = { at: 'table' };
    else if (key === 'escape') {
      this.#mode = { at: 'table' };
      this.#change({ filter: before });
    } else if (key === 'backspace') this.#change({ filter: filter.slice(0, -1) });
    else if (key.length === 1 && key >= ' ') this.#change({ filter: filter + key.toLowerCase() });
  }

  #confirmKey(key: string, id: string): void {
    this.#mode = { at: 'table' };
    if (key === 'y') void this.#end(id);
  }

  async #end(id: string): Promise<void> {
    try {
      this.#message = (await this.#deps.api.end(id)) ? `${id} was ended` : `${id} has ended already`;
    } catch (error) {
      this.#message = `${id} was not ended: ${error instanceof Error ? error.message : error}`;
    }
    this.#draw();
  }

  #move(by: 1 | -1): void {
    const rows = this.#table.rows(this.#state);
    const at = rows.findIndex(({ id }) => id === this.#state.selected);
    const next = at < 0 ? 0 : Math.max(0, Math.min(rows.length - 1, at + by));
    this.#change({ selected: rows[next]?.id });
  }

  #change(part: Partial<Omit<FrameState, 'prompt'>>): void {
    this.#state = { ...this.#state, ...part };
  }

  get #prompt(): string {
    if (this.#mode.at === 'filter') return `filter: ${this.#state.filter}_   (enter keeps it, escape does not)`;
    if (this.#mode.at === 'confirm') {
      const { id } = this.#mode;
      const target = this.#table.rows({ ...this.#state, filter: '' }).find((row) => row.id === id)?.target;
      return `end ${id}${target === undefined ? '' : ` to ${target}`}? y ends it, any other key does not`;
    }
    return this.#message || KEYS;
  }

  #draw(): void {
    const terminal = this.#terminal;
    if (terminal === undefined) return;
    const state = { ...this.#state, prompt: this.#prompt };
    terminal.draw(frame(this.#table, state, terminal.size, this.#deps.clock.wallMs()));
  }
}
