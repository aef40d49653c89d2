import { BLOCK, WHOLE } from './block.ts';
import type { Format } from './format.ts';
import { JSON_FORMAT } from './json.ts';
import { CURLRC, GIT_CONFIG, INI, KCONFIG, NPMRC, PROPERTIES, WGETRC, YARNRC } from './lines.ts';
import { TOML } from './toml.ts';
import { XML } from './xml.ts';
import { YAML } from './yaml.ts';

const FORMATS: readonly Format[] = [
  BLOCK,
  WHOLE,
  JSON_FORMAT,
  CURLRC,
  GIT_CONFIG,
  INI,
  KCONFIG,
  NPMRC,
  PROPERTIES,
  WGETRC,
  YARNRC,
  TOML,
  XML,
  YAML,
];

/** The format that a journal names. */
export const formatNamed = (name: string): Format | undefined => FORMATS.find((one) => one.name === name);
