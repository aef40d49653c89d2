/** A set of ports: single ones and ranges, as `443` and `"8000-8999"`. */
export class PortSet {
  readonly #single = new Set<number>();
  readonly #ranges: (readonly [from: number, to: number])[] = [];

  constructor(ports: readonly (number | string)[]) {
    for (const port of ports) {
      const range = portRange(port);
      if (range[0] === range[1]) this.#single.add(range[0]);
      else this.#ranges.push(range);
    }
  }

  has(port: number): boolean {
    return this.#single.has(port) || this.#ranges.some(([from, to]) => from <= port && port <= to);
  }
}

/** First and last port; the same for a single one. The schema has checked the text. */
export function portRange(port: number | string): readonly [from: number, to: number] {
  if (typeof port === 'number') return [port, port];
  const [from = '', to = from] = port.split('-');
  return [Number(from), Number(to)];
}
