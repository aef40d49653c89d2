import type { NoticeLevel } from '../../contracts/event.ts';
import type { Logger } from '../../observe/logger.ts';
import { isPrinted } from '../../observe/notices.ts';

/** Where `viaduct run` reports what it does. */
export interface CommandLogger extends Logger {
  /** Its own progress, printed as it is: programs that start a proxy wait for `listening on URL`. */
  status(line: string): void;
}

/** What of it is printed; read for each line, since a reload may change it. */
export interface Verbosity {
  /** Errors alone are printed, and no progress. */
  readonly quiet: boolean;
  readonly log: { readonly level: NoticeLevel };
}

/** The lowest level that is printed. */
export const levelFrom = ({ quiet, log }: Verbosity): NoticeLevel => (quiet ? 'error' : log.level);

/** `write` prints one line. Each answers what a person did, so a repeated one is not only counted. */
export function commandLogger(write: (line: string) => void, verbosity: () => Verbosity): CommandLogger {
  const from = (level: NoticeLevel) => (message: string) => {
    if (isPrinted(level, levelFrom(verbosity()))) write(`viaduct: ${message}`);
  };
  return {
    status(line) {
      if (!verbosity().quiet) write(line);
    },
    info: from('info'),
    warn: from('warn'),
    error: from('error'),
  };
}
