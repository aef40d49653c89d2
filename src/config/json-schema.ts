/** What a setting may be, as JSON Schema describes it: the part that error messages and CONFIG.md read. */
export interface JsonSchema {
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly default?: unknown;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly additionalProperties?: boolean | JsonSchema;
  readonly items?: JsonSchema;
  readonly anyOf?: readonly JsonSchema[];
  readonly oneOf?: readonly JsonSchema[];
}

/** The alternatives of a setting; the setting itself when it has but one form. */
export function formsOf(schema: JsonSchema): readonly JsonSchema[] {
  const choices = schema.anyOf ?? schema.oneOf;
  return choices === undefined ? [schema] : choices.flatMap(formsOf);
}

/** The schema of the setting at a path; an empty one where nothing is known. */
export function schemaAt(root: JsonSchema, path: readonly (string | number)[]): JsonSchema {
  let at: JsonSchema = root;
  for (const part of path) {
    const next = formsOf(at)
      .map((form) => childOf(form, part))
      .find((child) => child !== undefined);
    if (next === undefined) return {};
    at = next;
  }
  return at;
}

function childOf(form: JsonSchema, part: string | number): JsonSchema | undefined {
  if (typeof part === 'number') return form.items;
  const named = form.properties?.[part];
  if (named !== undefined) return named;
  return typeof form.additionalProperties === 'object' ? form.additionalProperties : undefined;
}

/** Keys that may stand under a path, in any of its forms. */
export function knownKeys(root: JsonSchema, path: readonly (string | number)[]): string[] {
  const keys = formsOf(schemaAt(root, path)).flatMap((form) => Object.keys(form.properties ?? {}));
  return [...new Set(keys)];
}

/** The default of every setting; a setting without one is left out. */
export function defaultsOf(schema: JsonSchema): unknown {
  const properties = Object.entries(schema.properties ?? {});
  if (properties.length === 0) return schema.default;
  const defaults = properties.map(([key, inner]) => [key, defaultsOf(inner)] as const);
  return Object.fromEntries(defaults.filter(([, value]) => value !== undefined));
}
