import { START_SETTINGS } from '../src/app/start-settings.ts';
import { FLAGS, variableOf } from '../src/config/flags.ts';
import { formsOf, type JsonSchema } from '../src/config/json-schema.ts';
import { configJsonSchema } from '../src/config/schema.ts';
import { CONFIG_INTRO } from './config-intro.ts';
import { AT_ONCE, type ConfigSection, NEW_CONNECTIONS, NEW_REQUESTS, SECTIONS } from './config-sections.ts';
import { table } from './page-parts.ts';

const HEADS = ['setting', 'value', 'default', 'reload', 'meaning'];

/** docs/CONFIG.md: one table for each section of the configuration, then the flags. */
export function configPage(): string {
  const { properties = {} } = configJsonSchema();
  const sections = SECTIONS.map((section) => {
    const { title, about, example } = section;
    const own = Object.fromEntries(keysOf(section).map((key) => [key, properties[key] ?? {}]));
    return [
      `### ${title}\n`,
      `${about}\n`,
      `\`\`\`yaml\n${example}\`\`\`\n`,
      table(HEADS, rowsOf({ properties: own }, '')),
      '',
    ].join('\n');
  });
  return [
    CONFIG_INTRO,
    '## Settings\n',
    `${SECTIONS.map(({ title }) => `[${title}](#${title})`).join(' · ')}\n`,
    RELOAD_KEY,
    ...sections,
    '## Flags and variables\n',
    table(['flag', 'variable', 'meaning', 'default'], FLAGS.map(flagRow)),
    '',
  ].join('\n');
}

/** The keys of the configuration that stand in a section, in the order of its table. */
export function keysOf({ keys }: ConfigSection): readonly string[] {
  if (keys !== 'others') return keys;
  const named = new Set<string>(SECTIONS.flatMap((section) => (section.keys === 'others' ? [] : section.keys)));
  return Object.keys(configJsonSchema().properties ?? {}).filter((key) => !named.has(key));
}

const RELOAD_KEY = `The column "reload" says when a reload applies a setting. *at once*: to open tunnels and connections too. *new
connections*: to connections of clients that come after it. *new requests*: to requests that come after it; open ones go on as they began. *next start*: a reload reports the change and goes
on with the old value.
`;

function flagRow(flag: (typeof FLAGS)[number]): string[] {
  const short = flag.short === undefined ? '' : `-${flag.short}, `;
  const argument = flag.argument === undefined ? '' : ` ${flag.argument}`;
  return [`\`${short}--${flag.name}${argument}\``, `\`${variableOf(flag)}\``, flag.summary, flag.default ?? ''];
}

/** When a reload applies a setting. */
export type ReloadEffect = 'at once' | 'new connections' | 'new requests' | 'next start';

/** What is written down for the longest part of a setting's path. */
export function reloadEffect(setting: string): ReloadEffect {
  for (let path = setting; path !== ''; path = path.slice(0, Math.max(0, path.lastIndexOf('.')))) {
    const name = path.replaceAll('[]', '');
    if (name in START_SETTINGS) return 'next start';
    if (NEW_CONNECTIONS.includes(name)) return 'new connections';
    if (NEW_REQUESTS.includes(name)) return 'new requests';
    if (AT_ONCE.includes(name)) return 'at once';
  }
  return 'new requests';
}

/** A row for each setting below a path, and for those of its entries. */
function rowsOf(schema: JsonSchema, path: string): string[][] {
  const seen = new Map<string, string>();
  return Object.entries(schema.properties ?? {}).flatMap(([key, setting]) => {
    const name = path === '' ? key : `${path}.${key}`;
    const items = formsOf(setting).flatMap((form) => (form.items === undefined ? [] : formsOf(form.items)));
    const [item] = items.filter(hasSettings);
    // One entry may often be written without a list around it; the list is the usual form.
    const inside = item ?? formsOf(setting).find(hasSettings);
    const meaning = setting.description ?? '';
    if (inside === undefined)
      return [[`\`${name}\``, kindOf(setting), defaultOf(setting), reloadEffect(name), meaning]];
    const shape = JSON.stringify(inside.properties);
    const twin = seen.get(shape);
    if (twin !== undefined) return [[`\`${name}\``, `as \`${twin}\``, '', reloadEffect(name), meaning]];
    seen.set(shape, name);
    return [
      [`\`${name}\``, '', '', reloadEffect(name), meaning],
      ...rowsOf(inside, inside === item ? `${name}[]` : name),
    ];
  });
}

const hasSettings = (form: JsonSchema): boolean => form.properties !== undefined;

function kindOf(schema: JsonSchema): string {
  const forms = formsOf(schema);
  // One value may often be written without a list around it.
  const single = kindsOf(forms.filter((form) => form.items === undefined));
  const listed = forms.flatMap((form) => (form.items === undefined ? [] : [kindOf(form.items)]));
  return listed.length === 1 && listed[0] === single ? `${single}, or a list` : kindsOf(forms);
}

function kindsOf(forms: readonly JsonSchema[]): string {
  const kinds = forms.flatMap((form) => {
    if (form.enum !== undefined) return form.enum.map((word) => `\`${word}\``);
    if (form.items !== undefined) return [`list of ${kindOf(form.items)}`];
    if (form.additionalProperties !== undefined) return ['map'];
    const types = typeof form.type === 'string' ? [form.type] : (form.type ?? []);
    return types.map((type) => (type === 'string' ? 'text' : type === 'integer' ? 'number' : type));
  });
  return [...new Set(kinds)].join(', ');
}

const defaultOf = (schema: JsonSchema): string =>
  schema.default === undefined
    ? ''
    : `\`${typeof schema.default === 'string' ? schema.default : JSON.stringify(schema.default)}\``;
