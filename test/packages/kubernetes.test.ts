/** deploy/kubernetes/: kustomize builds it, and every object is one that Kubernetes knows. No cluster runs here. */
import assert from 'node:assert/strict';
import { mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import type { IServiceMonitor } from '@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1';
import type { IDeployment } from 'kubernetes-models/apps/v1';
import type { IHorizontalPodAutoscaler } from 'kubernetes-models/autoscaling/v2';
import type { INetworkPolicy } from 'kubernetes-models/networking.k8s.io/v1';
import type { IPodDisruptionBudget } from 'kubernetes-models/policy/v1';
import type { IConfigMap, IService } from 'kubernetes-models/v1';
import { parse, parseAllDocuments } from 'yaml';
import { selfSigned } from '../support/certificate.ts';
import { builtCommand } from '../support/cli.ts';
import { missing } from '../support/requires.ts';
import { run } from '../support/run.ts';
import { temporaryFolder } from '../support/temporary.ts';

const ROOT = new URL('../../', import.meta.url).pathname;
const FOLDER = join(ROOT, 'deploy/kubernetes');
const skip = missing('kubernetes-client');

/** What the tests look at, by kind; the schemas judge the rest. */
interface Objects {
  readonly ConfigMap: IConfigMap;
  readonly Deployment: IDeployment;
  readonly HorizontalPodAutoscaler: IHorizontalPodAutoscaler;
  readonly NetworkPolicy: INetworkPolicy;
  readonly PodDisruptionBudget: IPodDisruptionBudget;
  readonly Service: IService;
  readonly ServiceMonitor: IServiceMonitor;
}
interface KubernetesObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
}

/** A package with the schemas, by the group of an object. */
const moduleOf = (apiVersion: string): string =>
  apiVersion.startsWith('monitoring.coreos.com/')
    ? `@kubernetes-models/prometheus-operator/${apiVersion}`
    : `kubernetes-models/${apiVersion}`;

let objects: readonly KubernetesObject[] = [];
before(async () => {
  if (skip !== false) return;
  const { code, out, err } = await run('kubectl', ['kustomize', FOLDER]);
  assert.deepEqual([code, err], [0, '']);
  objects = parseAllDocuments(out).map((document) => document.toJS());
});

const isOf = <K extends keyof Objects>(one: KubernetesObject, kind: K): one is KubernetesObject & Objects[K] =>
  one.kind === kind;

function find<K extends keyof Objects>(kind: K, name = 'viaduct'): Objects[K] {
  const found = objects.find((one) => one.kind === kind && one.metadata.name === name);
  assert.ok(found !== undefined && isOf(found, kind), `${kind}/${name}`);
  return found;
}

test('kustomize builds every object, in one namespace', { skip }, () => {
  const names = objects.map(({ kind, metadata }) => `${kind}/${metadata.name}`).sort();
  assert.deepEqual(names, [
    'ConfigMap/viaduct',
    'Deployment/viaduct',
    'HorizontalPodAutoscaler/viaduct',
    'Namespace/viaduct',
    'NetworkPolicy/viaduct',
    'PodDisruptionBudget/viaduct',
    'Service/viaduct',
    'Service/viaduct-admin',
    'ServiceAccount/viaduct',
    'ServiceMonitor/viaduct',
  ]);
  for (const { kind, metadata } of objects) if (kind !== 'Namespace') assert.equal(metadata.namespace, 'viaduct', kind);
});

test('the schemas of Kubernetes and of the Prometheus operator accept every object', { skip }, async () => {
  for (const object of objects) {
    const models = await import(moduleOf(object.apiVersion));
    assert.doesNotThrow(() => new models[object.kind](object).validate(), object.kind);
  }
});

/** The schemas let unknown fields pass, and Kubernetes drops them: the compiler finds what is typed wrongly. */
test('no object has a field that Kubernetes does not know', { skip }, async () => {
  using folder = temporaryFolder();
  symlinkSync(join(ROOT, 'node_modules'), join(folder.path, 'node_modules'));
  const lines = objects.map((object, at) => {
    const type = `import('${moduleOf(object.apiVersion)}').I${object.kind}`;
    return `export const object${at}: ${type} = ${JSON.stringify(object)};`;
  });
  folder.write('package.json', { type: 'module' });
  folder.write('objects.ts', `${lines.join('\n')}\n`);
  folder.write('tsconfig.json', {
    compilerOptions: {
      strict: true,
      noEmit: true,
      module: 'nodenext',
      target: 'es2022',
      skipLibCheck: true,
      types: [],
    },
    files: ['objects.ts'],
  });
  const tsc = join(ROOT, 'node_modules/typescript/bin/tsc');
  const { code, out, err } = await run(process.execPath, [tsc, '-p', folder.path]);
  assert.deepEqual([code, `${out}${err}`], [0, '']);
});

test('the configuration in the ConfigMap is one that viaduct accepts', { skip }, async () => {
  using folder = temporaryFolder();
  const tls = join(folder.path, 'tls');
  mkdirSync(tls);
  const { cert, key } = selfSigned();
  folder.write('tls/tls.crt', cert);
  folder.write('tls/tls.key', key);
  const text = find('ConfigMap').data?.['viaduct.yaml'] ?? '';
  const config = folder.write('viaduct.yaml', text.replaceAll('/run/tls', tls));
  const { code, err } = await run(process.execPath, [builtCommand(), 'check', config], {
    environment: { VIADUCT_ADMIN_TOKEN: 'a'.repeat(43), VIADUCT_STORE_SECRET: 'b'.repeat(43) },
  });
  assert.deepEqual([code, err], [0, '']);
});

test('selectors, ports, secrets and times of the objects fit together', { skip }, () => {
  const { spec } = find('Deployment');
  const pod = spec?.template.spec;
  const [container] = pod?.containers ?? [];
  assert.ok(spec && pod && container);
  const labels = spec.template.metadata?.labels;
  assert.ok(labels);
  for (const selector of [
    spec.selector.matchLabels,
    find('PodDisruptionBudget').spec?.selector?.matchLabels,
    find('NetworkPolicy').spec?.podSelector?.matchLabels,
    find('Service').spec?.selector,
    find('Service', 'viaduct-admin').spec?.selector,
  ])
    assert.deepEqual(selector, labels);
  const monitored = Object.entries(find('ServiceMonitor').spec?.selector?.matchLabels ?? {});
  assert.ok(monitored.length > 0);
  for (const [name, value] of monitored) assert.equal(find('Service', 'viaduct-admin').metadata?.labels?.[name], value);
  assert.equal(find('HorizontalPodAutoscaler').spec?.scaleTargetRef.name, find('Deployment').metadata?.name);
  const config = parse(find('ConfigMap').data?.['viaduct.yaml'] ?? '');
  assert.deepEqual(
    container.ports?.map(({ containerPort }) => String(containerPort)),
    [config.listen, config.admin.listen].map((one: string) => one.split(':')[1]),
  );
  const seconds = (text: string): number => Number.parseInt(text, 10) * (text.endsWith('m') ? 60 : 1);
  const { drain, drainDelay } = config.timeouts;
  assert.ok((pod.terminationGracePeriodSeconds ?? 0) > seconds(drain) + seconds(drainDelay));
  const { periodSeconds, failureThreshold } = container.readinessProbe ?? {};
  assert.ok(periodSeconds && failureThreshold && seconds(drainDelay) > periodSeconds * failureThreshold);
  assert.equal(spec.strategy?.rollingUpdate?.maxUnavailable, 0);
});
