import type { Command } from '../command.ts';

/** The row of `pac` in the table of commands. */
export const pacCommand: Command = {
  name: 'pac',
  summary: 'evaluate a PAC file for URLs, and show each helper that it calls',
  operands: ['FILE_OR_URL', 'URL...'],
  takes: 'own flags only',
  completes: 'file',
  flags: [
    { name: 'now', argument: 'ISO', summary: 'the time that the script sees' },
    { name: 'tz', argument: 'ZONE', summary: 'the time zone that it sees, e.g. Europe/Berlin' },
    { name: 'my-ip', argument: 'IP', summary: 'what myIpAddress() gives; repeat for more addresses' },
    {
      name: 'dns',
      argument: 'NAME=IP|IP',
      summary: 'what a name resolves to (* = every name), instead of real DNS; repeat',
    },
    { name: 'world', argument: 'FILE', summary: 'all of these from a JSON file: now, tz, myIp, myIpEx, dns, host' },
    { name: 'json', summary: 'print one JSON array' },
    { name: 'quiet', short: 'q', summary: 'print the results alone, a line for each URL' },
  ],
  load: () => import('./pac.ts'),
};
