import { useResource } from '../api/resource.ts';
import type { Account, Pac, Rule, Upstream } from '../api/shape.ts';
import { proxyNowMs } from '../model/state.ts';
import { clockText, countText, durationText, sinceText } from '../model/units.ts';
import { Empty, Loaded } from '../ui/loaded.tsx';
import { Facts, Panel } from '../ui/panel.tsx';
import { linkToRows } from '../ui/place.ts';

const READ_MS = 3_000;

const DECIDES: Readonly<Record<Rule['kind'], (verdict: string) => string>> = {
  access: (verdict) => verdict,
  report: (verdict) => `would ${verdict} (only reported)`,
  route: () => 'routes',
};

/** Rules with how often each decided. */
export function Rules() {
  const rules = useResource<{ rules: readonly Rule[] }>('rules', READ_MS);
  return (
    <Loaded of={rules} what="The rules">
      {({ rules: all }) =>
        all.length === 0 ? (
          <Empty>No rule is configured: everything is allowed (access: in the configuration).</Empty>
        ) : (
          <section class="panel" aria-label="Rules">
            <table class="plain">
              <thead>
                <tr>
                  <th scope="col">Rule</th>
                  <th scope="col">Decides</th>
                  <th scope="col" class="number">
                    Hits
                  </th>
                  <th scope="col" class="number">
                    Last hit
                  </th>
                </tr>
              </thead>
              <tbody>
                {all.map(({ name, kind, verdict, hits, lastHitAt }) => (
                  <tr key={`${kind} ${name}`}>
                    <th scope="row">
                      <a href={linkToRows(name, 'all')}>{name}</a>
                    </th>
                    <td class={kind === 'access' && verdict === 'deny' ? 'bad' : ''}>{DECIDES[kind](verdict ?? '')}</td>
                    <td class="number">{countText(hits)}</td>
                    <td class="number muted">
                      {lastHitAt === undefined ? 'never' : sinceText(lastHitAt, proxyNowMs.value)}
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </section>
        )
      }
    </Loaded>
  );
}

/** Upstream proxies: whether they are in service, and how fast they were. */
export function Upstreams() {
  const upstreams = useResource<{ upstreams: readonly Upstream[] }>('upstreams', READ_MS);
  return (
    <Loaded of={upstreams} what="The upstream proxies">
      {({ upstreams: all }) =>
        all.length === 0 ? (
          <Empty>No upstream proxy has been used yet.</Empty>
        ) : (
          <div class="panels">
            {all.map((one) => (
              <UpstreamPanel key={one.name} upstream={one} />
            ))}
          </div>
        )
      }
    </Loaded>
  );
}

function UpstreamPanel({ upstream }: { readonly upstream: Upstream }) {
  const { name, state, downUntil, lastSeenAt, lastFailure, latencyMs = [] } = upstream;
  const now = proxyNowMs.value;
  const most = Math.max(1, ...latencyMs);
  const last = latencyMs.at(-1);
  return (
    <Panel title={name}>
      <Facts
        of={[
          ['State', state === 'up' ? <span class="good">✓ in service</span> : <span class="bad">✕ marked down</span>],
          [
            'Tried again',
            downUntil === undefined ? undefined : `${clockText(downUntil)}, ${sinceText(downUntil, now)}`,
          ],
          ['Last seen', lastSeenAt === undefined ? 'not yet' : sinceText(lastSeenAt, now)],
          ['Last failure', lastFailure],
          ['Latency', last === undefined ? undefined : `${durationText(last)} last, ${durationText(most)} at most`],
        ]}
      />
      {latencyMs.length > 1 && (
        <div class="bars" aria-hidden="true">
          {latencyMs.map((ms, at) => (
            <span key={at} style={{ height: `${(100 * ms) / most}%` }} />
          ))}
        </div>
      )}
    </Panel>
  );
}

/** Where the PAC script came from, and whether it works. */
export function PacView() {
  const pac = useResource<Pac>('pac', READ_MS);
  return (
    <Loaded of={pac} what="The PAC script">
      {({ source, state, ageMs, lastError }) => (
        <Panel title="PAC script">
          <Facts
            of={[
              ['State', <span class={lastError === undefined ? '' : 'warn'}>{PAC_STATES[state] ?? state}</span>],
              ['Source', source === undefined ? undefined : <code>{source}</code>],
              ['Read', ageMs === undefined ? undefined : `${durationText(ageMs)} ago`],
              ['Last error', lastError === undefined ? undefined : <span class="bad">{lastError}</span>],
            ]}
          />
        </Panel>
      )}
    </Loaded>
  );
}

const PAC_STATES: Readonly<Record<string, string>> = {
  script: 'a script is in force',
  none: 'no PAC is set',
  'system-proxies': 'the system names proxies, not a script',
  unreachable: 'its source cannot be reached',
};

/** Accounts for upstream proxies; never a secret. */
export function Credentials() {
  const credentials = useResource<{ accounts: readonly Account[] }>('credentials', READ_MS);
  return (
    <Loaded of={credentials} what="The credentials">
      {({ accounts }) =>
        accounts.length === 0 ? (
          <Empty>No upstream proxy has asked for credentials, and none are configured.</Empty>
        ) : (
          <div class="panels">
            {accounts.map((one) => (
              <Panel key={`${one.upstream} ${one.account}`} title={one.upstream ?? `Account ${one.account}`}>
                <Facts
                  of={[
                    ['User', one.user],
                    ['Source', one.source],
                    ['Schemes', one.schemes?.join(', ')],
                    [
                      'Tickets until',
                      one.ticketsUntil === undefined ? undefined : sinceText(one.ticketsUntil, proxyNowMs.value),
                    ],
                    [
                      'Nothing is sent',
                      one.problem === undefined ? undefined : <span class="warn">{one.problem}</span>,
                    ],
                    [
                      'Password',
                      one.isRejected === undefined ? undefined : one.isRejected ? (
                        <span class="bad">
                          ✕ rejected, not tried again: <code>viaduct login</code> stores a new one
                        </span>
                      ) : (
                        <span class="good">✓ not rejected</span>
                      ),
                    ],
                  ]}
                />
              </Panel>
            ))}
          </div>
        )
      }
    </Loaded>
  );
}
