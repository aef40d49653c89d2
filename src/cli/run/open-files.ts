import { connectionsMax, filesMax } from '../../app/descriptor-budget.ts';
import { shareOf } from '../../clients/places.ts';
import type { Logger } from '../../observe/logger.ts';

/** Every tunnel holds two files; with fewer, a busy proxy runs out of them. */
const FILES_MIN = 4096;

/** Node has raised the soft limit to the hard one already; only the program that starts it can raise that one. */
export function warnOfFewFiles(
  workers: number,
  logger: Pick<Logger, 'warn'>,
  files: number | undefined = filesMax(),
): void {
  if (files === undefined || files >= FILES_MIN) return;
  const places = connectionsMax(files);
  const each = workers === 1 ? '' : ` in each of ${workers} processes`;
  logger.warn(
    `only ${files} files may be open, enough for ${places} connections of clients${each}, ` +
      `${shareOf(places)} of one address; raise it with ulimit -n 65536`,
  );
}
