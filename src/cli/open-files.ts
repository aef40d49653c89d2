import { readFileSync } from 'node:fs';

/** Every tunnel holds two files; below this a busy afternoon runs out of them. */
const FILES_MIN = 4096;

/** Node has raised the soft limit to the hard one already; only whoever starts it can raise that one. */
export function warnOfFewFiles(tell: (line: string) => void): void {
  const files = filesMax();
  if (files === undefined || files >= FILES_MIN) return;
  const tunnels = Math.floor(files / 2);
  tell(`only ${files} files may be open, enough for about ${tunnels} tunnels; raise it with ulimit -n 65536`);
}

/** How many files this process may open; `undefined` where the system does not tell, which is everywhere but Linux. */
function filesMax(): number | undefined {
  try {
    const files = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1];
    return files === undefined ? undefined : Number(files);
  } catch {
    return undefined;
  }
}
