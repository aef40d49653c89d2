/**
 * Plays cases over TCP or TLS and prints one line of JSON for each: `{ id, problems, outcome }`. To be run where nothing but loopback
 * can be reached: a proxy that fails a case really dials the address in it.
 *
 *   inside.ts tcp|tls FILE.json…
 */
import { type Case, type Profile, readCases } from './cases.ts';
import { judge } from './judge.ts';
import { isAlive, play } from './play.ts';
import { CREDENTIALS } from './profiles.ts';
import { Stage } from './stage.ts';

const [, , transport, ...files] = process.argv;
const over = transport === 'tls' ? 'tls' : 'tcp';
const cases = files.flatMap((file) => readCases(file));

/** Cases mostly wait, for what must not happen: so many proxies are played on at a time. */
const SHARDS = 6;
/** Cases of one profile that share a proxy; fewer would spend the time on starting it. */
const SHARD_CASES_MIN = 40;

interface Shard {
  readonly profile: Profile;
  readonly cases: readonly Case[];
}

function shards(): Shard[] {
  return Object.entries(Object.groupBy(cases, ({ profile }) => profile)).flatMap(([, ofProfile]) => {
    const [{ profile } = { profile: 'base' as const }] = ofProfile;
    const count = Math.min(SHARDS, Math.ceil(ofProfile.length / SHARD_CASES_MIN));
    return Array.from({ length: count }, (_, shard) => ({
      profile,
      cases: ofProfile.filter((_one, at) => at % count === shard),
    }));
  });
}

/** Plays cases in order; a proxy that does not survive one is replaced. */
async function playAll(shard: Shard): Promise<void> {
  const credentials = shard.profile === 'auth' ? CREDENTIALS : '';
  let stage = await Stage.open(shard.profile, over);
  try {
    for (const one of shard.cases) {
      const problems = await playOne(one, stage, credentials);
      if (problems.length === 0) continue;
      await stage[Symbol.asyncDispose]();
      stage = await Stage.open(shard.profile, over);
    }
  } finally {
    await stage[Symbol.asyncDispose]();
  }
}

async function playOne(one: Case, stage: Stage, credentials: string): Promise<string[]> {
  const outcome = await play(one, stage);
  const problems = judge(one, outcome, stage.names);
  const dead = await isAlive(stage, credentials);
  if (dead !== undefined) problems.push(dead);
  const { response, originText, statuses, ending } = outcome;
  const shown = { statuses, ending, response: response.slice(0, 600), origin: originText.slice(0, 600) };
  process.stdout.write(`${JSON.stringify({ id: one.id, problems, outcome: shown })}\n`);
  return problems;
}

await Promise.all(shards().map(playAll));
