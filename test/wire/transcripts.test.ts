/** Plays every transcript of this folder: whole, byte by byte, and cut in two at every byte that either side sends. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { leavesNothing } from '../support/no-leaks.ts';
import { RawOrigin } from '../support/origin.ts';
import { ProxyUnderTest } from '../support/proxy-under-test.ts';
import type { RawPeer } from '../support/raw-client.ts';
import { matches, type Party, readTranscript, type Step } from './transcript.ts';

/** How what is sent is cut: the nth byte of all that the transcript sends begins another packet. */
type Cut = { readonly at: number } | 'whole' | 'bytes';

/** A port that the kernel never chooses for a listener. */
const CLOSED = '127.0.0.1:1';

const FOLDER = new URL('./', import.meta.url);
const files = readdirSync(FOLDER).filter((name) => name.endsWith('.txt'));

for (const file of files) {
  const text = readFileSync(new URL(file, FOLDER), 'utf8');
  const [title = file] = text.split('\n');
  test(
    `${title.replace(/^# /, '')} (${file})`,
    leavesNothing(async () => {
      await using proxy = await ProxyUnderTest.start({ timeouts: { linger: '2s' } });
      await play(text, proxy, 'whole');
      await play(text, proxy, 'bytes');
      const sent = readTranscript(text, { origin: '127.0.0.1:50000', closed: CLOSED }).reduce(
        (sum, step) => sum + (step.do === 'send' ? step.bytes.length : 0),
        0,
      );
      for (let at = 1; at < sent; at++) await play(text, proxy, { at });
    }),
  );
}

async function play(text: string, proxy: ProxyUnderTest, cut: Cut): Promise<void> {
  // Another port each time: no connection of the play before is in the pool.
  await using origin = await RawOrigin.listen();
  using client = await proxy.client();
  const seen: Record<Party, number> = { client: 0, upstream: 0 };
  const peer = async (party: Party): Promise<RawPeer> => (party === 'client' ? client : await origin.connection());
  let sent = 0;
  for (const step of readTranscript(text, { origin: origin.authority, closed: CLOSED })) {
    if (step.do === 'send') {
      await send(await peer(step.by), step.bytes, cut, sent);
      sent += step.bytes.length;
    } else if (step.do === 'expect') await expect(await peer(step.at), step, seen, cut);
    else if (step.do === 'end') (await peer(step.by)).end();
    else if (step.do === 'reset') (await peer(step.by)).reset();
    else assert.equal(await (await peer(step.at)).ended(), step.ending, `${step.at}, ${shown(cut)}`);
  }
  assert.equal(
    client.bytesReceived,
    seen.client,
    `the client was sent more, ${shown(cut)}: ${client.text.slice(seen.client)}`,
  );
}

async function send(peer: RawPeer, bytes: Buffer, cut: Cut, before: number): Promise<void> {
  if (cut === 'whole') peer.send(bytes);
  else if (cut === 'bytes') {
    for (const byte of bytes) {
      peer.send(Buffer.of(byte));
      await nextTurn();
    }
  } else if (cut.at > before && cut.at < before + bytes.length) await peer.sendCut(bytes, cut.at - before);
  else peer.send(bytes);
}

async function expect(
  peer: RawPeer,
  step: Step & { do: 'expect' },
  seen: Record<Party, number>,
  cut: Cut,
): Promise<void> {
  const fresh = () => peer.text.slice(seen[step.at]);
  await peer.when(() => matches(step.parts, fresh()) !== 'more', step.shown).catch(() => undefined);
  if (matches(step.parts, fresh()) !== 'yes') assert.equal(fresh(), step.shown, `${step.at}, ${shown(cut)}`);
  seen[step.at] = peer.text.length;
}

const shown = (cut: Cut): string => (typeof cut === 'string' ? cut : `cut at byte ${cut.at}`);
