import type { ApiDeps } from './api-deps.ts';
import { METRICS_TYPE } from './metrics-page.ts';
import { metricsText } from './metrics-text.ts';
import { sendText } from './respond.ts';
import type { Route } from './routes.ts';

/** `/metrics`, for Prometheus. */
export function metricsRoutes({ proxy, version, state }: ApiDeps): Route[] {
  return [
    {
      method: 'GET',
      path: '/metrics',
      purpose: 'metrics',
      async run({ response }) {
        const [seen, measures, limits, ways] = await Promise.all([
          proxy.look('live'),
          proxy.measure(),
          proxy.limits(),
          proxy.ways(),
        ]);
        const { relay, workers, limitStore } = proxy;
        const draining = state() === 'draining';
        const text = metricsText({ seen, measures, limits, limitStore, ways, version, relay, workers, draining });
        sendText(response, 200, METRICS_TYPE, text);
        return 'written' as const;
      },
    },
  ];
}
