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
const profiles = new Set(cases.map(({ profile }) => profile));

/** Cases of one profile, in order; a proxy that does not survive one is replaced. */
async function playAll(profile: Profile): Promise<void> {
  const credentials = profile === 'auth' ? CREDENTIALS : '';
  let stage = await Stage.open(profile);
  try {
    for (const one of cases) {
      if (one.profile !== profile) continue;
      const problems = await playOne(one, stage, credentials);
      if (problems.length === 0) continue;
      await stage[Symbol.asyncDispose]();
      stage = await Stage.open(profile);
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

await Promise.all([...profiles].map(playAll));
