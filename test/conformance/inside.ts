/**
 * Plays cases and prints one line of JSON for each: `{ id, problems, outcome }`. To be run where nothing but loopback
 * can be reached: a proxy that fails a case really dials the address in it.
 *
 *   inside.ts FILE.json…
 */
import { type Case, type Profile, readCases } from './cases.ts';
import { judge } from './judge.ts';
import { isAlive, play } from './play.ts';
import { CREDENTIALS } from './profiles.ts';
import { Stage } from './stage.ts';

const cases = process.argv.slice(2).flatMap((file) => readCases(file));

/** Cases mostly wait, for what must not happen: so many proxies are played on at a time. */
const LANES = 6;
/** Cases of one profile that share a proxy; fewer would spend the time on starting it. */
const LANE_CASES_MIN = 40;

interface Lane {
  readonly profile: Profile;
  readonly cases: readonly Case[];
}

function lanes(): Lane[] {
  return Object.entries(Object.groupBy(cases, ({ profile }) => profile)).flatMap(([, ofProfile]) => {
    const [{ profile } = { profile: 'base' as const }] = ofProfile;
    const count = Math.min(LANES, Math.ceil(ofProfile.length / LANE_CASES_MIN));
    return Array.from({ length: count }, (_, lane) => ({
      profile,
      cases: ofProfile.filter((_one, at) => at % count === lane),
    }));
  });
}

/** Plays cases in order; a proxy that does not survive one is replaced. */
async function playAll(lane: Lane): Promise<void> {
  const credentials = lane.profile === 'auth' ? CREDENTIALS : '';
  let stage = await Stage.open(lane.profile);
  try {
    for (const one of lane.cases) {
      const problems = await playOne(one, stage, credentials);
      if (problems.length === 0) continue;
      await stage[Symbol.asyncDispose]();
      stage = await Stage.open(lane.profile);
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

await Promise.all(lanes().map(playAll));
