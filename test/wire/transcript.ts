/**
 * A conversation as text. Each line is one of
 *
 *   # a remark
 *   C> what the client sends              U> what the upstream is then sent
 *   U< what the upstream sends            P< what the client is then sent
 *
 * and stands for the text and a CRLF. `\` at the end of a line takes the CRLF away, `\r \n \t \\ \xHH` are escapes.
 * `{FIN}` and `{RST}` alone on a line end or reset a connection, or say that the other side sees it.
 * In what is sent, `{origin}` is the origin's host:port and `{closed}` a host:port without a listener. In what is expected,
 * `{via}`, `{date}`, `{id}` and `{length}` stand for what differs from run to run, and `{chunks:text}` for the text in
 * chunks of any size: a transcript does not fix where a body is cut.
 */
export type Party = 'client' | 'upstream';

export type Step =
  | { readonly do: 'send'; readonly by: Party; readonly bytes: Buffer }
  | { readonly do: 'expect'; readonly at: Party; readonly parts: readonly Part[]; readonly shown: string }
  | { readonly do: 'end'; readonly by: Party }
  | { readonly do: 'reset'; readonly by: Party }
  | { readonly do: 'see'; readonly at: Party; readonly ending: 'fin' | 'reset' };

type Part =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'pattern'; readonly pattern: RegExp }
  | { readonly kind: 'chunks'; readonly text: string };

const ARROWS: Readonly<Record<string, { readonly sent: boolean; readonly party: Party }>> = {
  'C>': { sent: true, party: 'client' },
  'P<': { sent: false, party: 'client' },
  'U>': { sent: false, party: 'upstream' },
  'U<': { sent: true, party: 'upstream' },
};

const VARYING: Readonly<Record<string, RegExp>> = {
  via: /viaduct-[0-9a-f]{12}/y,
  date: /[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT/y,
  id: /[0-9a-f]{6}-[0-9a-z]+/y,
  length: /\d+/y,
};

/** Steps in order; neighbouring lines of one arrow are one step. */
export function readTranscript(text: string, names: Readonly<Record<string, string>>): Step[] {
  const steps: Step[] = [];
  let open: { arrow: string; text: string } | undefined;
  const close = () => {
    if (open !== undefined) steps.push(stepOf(open.arrow, open.text));
    open = undefined;
  };
  for (const line of text.split('\n')) {
    if (line.trim() === '' || line.startsWith('#')) continue;
    const arrow = line.slice(0, 2);
    if (!(arrow in ARROWS)) throw new Error(`no line of a transcript: ${line}`);
    const content = line.slice(3).replaceAll(/\{(\w+)\}/g, (whole, name: string) => names[name] ?? whole);
    if (content === '{FIN}' || content === '{RST}') {
      close();
      steps.push(endingOf(arrow, content));
      continue;
    }
    if (open !== undefined && open.arrow !== arrow) close();
    open ??= { arrow, text: '' };
    open.text += content.endsWith('\\') && !content.endsWith('\\\\') ? content.slice(0, -1) : `${content}\\r\\n`;
  }
  close();
  return steps;
}

function endingOf(arrow: string, content: string): Step {
  const { sent = false, party = 'client' } = ARROWS[arrow] ?? {};
  if (sent) return { do: content === '{FIN}' ? 'end' : 'reset', by: party };
  return { do: 'see', at: party, ending: content === '{FIN}' ? 'fin' : 'reset' };
}

function stepOf(arrow: string, text: string): Step {
  const { sent = false, party = 'client' } = ARROWS[arrow] ?? {};
  if (sent) return { do: 'send', by: party, bytes: Buffer.from(unescaped(text), 'latin1') };
  return { do: 'expect', at: party, parts: partsOf(text), shown: unescaped(text) };
}

const unescaped = (text: string): string =>
  text.replaceAll(/\\(?:x([0-9a-f]{2})|(.))/gi, (_whole, hex: string | undefined, one: string | undefined) =>
    hex === undefined
      ? ({ r: '\r', n: '\n', t: '\t' }[one ?? ''] ?? one ?? '')
      : String.fromCharCode(Number(`0x${hex}`)),
  );

function partsOf(text: string): Part[] {
  return text.split(/(\{(?:via|date|id|length|chunks:[^}]*)\})/).map((piece): Part => {
    const name = /^\{(\w+)(?::(.*))?\}$/s.exec(piece);
    if (name === null) return { kind: 'text', text: unescaped(piece) };
    const pattern = VARYING[name[1] ?? ''];
    return pattern === undefined ? { kind: 'chunks', text: unescaped(name[2] ?? '') } : { kind: 'pattern', pattern };
  });
}

/** How far `seen` is what was expected: `more` may follow, or it can no longer become that. */
export function matches(parts: readonly Part[], seen: string): 'yes' | 'more' | 'no' {
  let at = 0;
  for (const part of parts) {
    if (part.kind === 'text') {
      const there = seen.slice(at, at + part.text.length);
      if (there !== part.text) return part.text.startsWith(there) ? 'more' : 'no';
      at += part.text.length;
    } else if (part.kind === 'pattern') {
      part.pattern.lastIndex = at;
      const found = part.pattern.exec(seen);
      if (found === null) return seen.length - at < 40 ? 'more' : 'no';
      at += found[0].length;
    } else {
      const end = chunksEnd(seen, at, part.text);
      if (typeof end === 'string') return end;
      at = end;
    }
  }
  return at === seen.length ? 'yes' : 'no';
}

/** Where the chunks that hold `text` end. */
function chunksEnd(seen: string, from: number, text: string): number | 'more' | 'no' {
  let at = from;
  let read = '';
  while (read.length < text.length) {
    const line = /^([0-9a-f]+)\r\n/.exec(seen.slice(at, at + 12));
    if (line === null) return seen.length - at < 12 ? 'more' : 'no';
    const size = Number(`0x${line[1]}`);
    at += line[0].length;
    if (seen.length < at + size + 2) return 'more';
    if (seen.slice(at + size, at + size + 2) !== '\r\n') return 'no';
    read += seen.slice(at, at + size);
    at += size + 2;
  }
  return read === text ? at : 'no';
}
