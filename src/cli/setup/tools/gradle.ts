import { join } from 'node:path';
import { javaProperties } from '../../env/variables.ts';
import { PROPERTIES } from '../formats/lines.ts';
import type { Tool } from '../tool.ts';

export const gradle: Tool = {
  name: 'gradle',
  title: 'Gradle',
  scope: 'user',
  when: 'found',
  takesPac: false,
  isFound: ({ hasCommand, exists, home }) => hasCommand('gradle') || exists(join(home, '.gradle')),
  settings({ environment, home }, { proxy }) {
    const path = join(environment.GRADLE_USER_HOME || join(home, '.gradle'), 'gradle.properties');
    return javaProperties(proxy).map(({ name, value }) => {
      return { kind: 'file', path, format: PROPERTIES, key: [`systemProp.${name}`], value };
    });
  },
  after: ['gradle', '--stop'],
  page: {
    place: '`~/.gradle/gradle.properties`',
    value: '`systemProp.http.proxyHost`, `…Port`, `systemProp.https.…`, `systemProp.http.nonProxyHosts`',
    trap: 'Daemons that run keep their settings until `gradle --stop`',
    source: 'https://docs.gradle.org/current/userguide/networking.html',
    proof: 'tried at length',
  },
};
