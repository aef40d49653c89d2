import { cpuOf } from '../cpu.ts';
import { type Instance, startInstance } from '../instance.ts';
import { load, type Origin } from '../load.ts';
import { type Measurement, type Size, sized } from '../measurement.ts';
import { viaduct, viaductWorkers } from '../peers/viaduct.ts';

const countOf = (size: Size): number => sized(size, 10_000, 5_000, 50);
/** In turn, so that other load on the machine affects both. */
const TURNS = 4;
const AT_ONCE = 64;
const NAME = 'CONNECT set-up with 2 workers, beside one';

/** The echo of several workers stands in the rows of `echo`. Only Viaduct is measured. */
export const workers: Measurement = {
  name: 'workers',
  how: (size) =>
    `workers: CPU of a set-up with 2 workers as a part of that with one, of ${TURNS} times ${countOf(size)} set-ups in turn, after as many for each worker`,
  on: 'shared',
  metrics: [{ name: NAME, unit: 'times', better: 'lower', digits: 2 }],
  async round({ peer, origin }, size) {
    if (peer.name !== viaduct.name) return {};
    await using one = await startInstance(viaduct);
    await using two = await startInstance(viaductWorkers);
    await setUps(one, origin, TURNS * countOf(size));
    await setUps(two, origin, 2 * TURNS * countOf(size));
    const cpuS = { one: 0, two: 0 };
    for (let turn = 0; turn < TURNS; turn++) {
      cpuS.one += (await cpuOf(one.pid, () => setUps(one, origin, countOf(size)))).cpuS;
      cpuS.two += (await cpuOf(two.pid, () => setUps(two, origin, countOf(size)))).cpuS;
    }
    return { [NAME]: cpuS.two / cpuS.one };
  },
};

const setUps = ({ port }: Instance, { echo }: Origin, count: number) => load('setup', port, echo, count, AT_ONCE);
