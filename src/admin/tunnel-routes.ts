import type { ProxyRecord } from '../contracts/record.ts';
import type { StepPart } from '../observe/request-steps.ts';
import { badRequest, notFound } from './admin-error.ts';
import type { ApiDeps } from './api-deps.ts';
import { audit } from './audit.ts';
import type { ClientNames } from './client-names.ts';
import { member, textMember } from './read-json.ts';
import type { Route } from './routes.ts';
import { closedRow, liveRow } from './row.ts';

/** So many requests end in one call. */
const IDS_MAX = 10_000;
const REASON_CHARACTERS_MAX = 200;

/** Requests and tunnels in progress: list them, end them. */
export function tunnelRoutes({ proxy, observe }: ApiDeps, names: ClientNames): Route[] {
  const end = async (ids: readonly string[], body: unknown, from: string): Promise<number> => {
    const reason = reasonIn(body);
    const ended = await proxy.end(ids, reason ?? `ended through the API, from ${from}`);
    const what = `ended ${ended} ${ended === 1 ? 'request' : 'requests'}`;
    if (ended > 0) audit(observe, reason === undefined ? what : `${what} (${JSON.stringify(reason)})`, from);
    return ended;
  };
  return [
    {
      method: 'GET',
      path: '/api/tunnels',
      purpose: 'api',
      async run({ query }) {
        const { live, ended } = await proxy.look(query.get('closed') === '1' ? undefined : 'live');
        const nameOf = ({ client }: ProxyRecord) => names.nameOf(client.address);
        const closed = ended.map((record) => closedRow(record, nameOf(record)));
        return { status: 200, json: { tunnels: [...live.map((one) => liveRow(one, nameOf(one.record))), ...closed] } };
      },
    },
    {
      method: 'GET',
      path: '/api/tunnels/{id}/steps',
      purpose: 'api',
      run: async ({ param }) => ({ status: 200, json: { steps: (await proxy.steps(param('id'))).map(shownPart) } }),
    },
    {
      method: 'DELETE',
      path: '/api/tunnels/{id}',
      purpose: 'api',
      async run({ param, body, from }) {
        const ended = await end([param('id')], body, from);
        if (ended === 0) throw notFound('No request in progress has that id; it has ended.');
        return { status: 204 };
      },
    },
    {
      method: 'POST',
      path: '/api/tunnels/end',
      purpose: 'api',
      async run({ body, from }) {
        const ids = member(body, 'ids');
        if (!Array.isArray(ids) || ids.length > IDS_MAX || !ids.every((id): id is string => typeof id === 'string')) {
          throw badRequest(`"ids" must be a list of at most ${IDS_MAX} texts.`);
        }
        return { status: 200, json: { ended: await end(ids, body, from) } };
      },
    },
  ];
}

/** It stands in the record, in logs and in answers: one line. */
function reasonIn(body: unknown): string | undefined {
  const reason = textMember(body, 'reason')
    ?.replaceAll(/\p{Cc}+/gu, ' ')
    .trim();
  return reason ? reason.slice(0, REASON_CHARACTERS_MAX) : undefined;
}

const hundredths = (ms: number): number => Math.round(ms * 100) / 100;

const shownPart = ({ startMs, ms, ...part }: StepPart): StepPart => ({
  ...part,
  startMs: hundredths(startMs),
  ms: hundredths(ms),
});
