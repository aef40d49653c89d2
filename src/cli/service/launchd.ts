import { join } from 'node:path';
import { LOG_LINES, optional, required, type ServiceSystem, type ServiceTarget } from './service-system.ts';

const LABEL = 'dev.viaduct';

const xml = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

const plistPath = ({ home }: ServiceTarget): string => join(home, 'Library', 'LaunchAgents', `${LABEL}.plist`);

function plist({ program, logFile }: ServiceTarget): string {
  return `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
  <key>Label</key><string>${LABEL}</string>
  <key>ProgramArguments</key>
  <array>
${program.map((word) => `    <string>${xml(word)}</string>`).join('\n')}
  </array>
  <key>RunAtLoad</key><true/>
  <key>KeepAlive</key><dict><key>SuccessfulExit</key><false/></dict>
  <key>ThrottleInterval</key><integer>10</integer>
  <key>ExitTimeOut</key><integer>90</integer>
  <key>ProcessType</key><string>Adaptive</string>
  <key>SoftResourceLimits</key><dict><key>NumberOfFiles</key><integer>65536</integer></dict>
  <key>StandardOutPath</key><string>${xml(logFile)}</string>
  <key>StandardErrorPath</key><string>${xml(logFile)}</string>
</dict>
</plist>
`;
}

export const launchd: ServiceSystem = {
  name: 'launchd',
  plan(action, target) {
    const nothing = { files: [], removed: [], commands: [], notes: [] };
    const domain = `gui/${target.uid}`;
    const service = `${domain}/${LABEL}`;
    switch (action) {
      case 'install':
        return {
          ...nothing,
          files: [{ path: plistPath(target), text: plist(target), encoding: 'utf8' }],
          commands: [
            optional('launchctl', 'bootout', service),
            required('launchctl', 'bootstrap', domain, plistPath(target)),
          ],
          notes: ['it runs while you are logged in', 'viaduct setup points the programs of this machine at it'],
        };
      case 'uninstall':
        return {
          ...nothing,
          removed: [plistPath(target)],
          commands: [optional('launchctl', 'bootout', service)],
          notes: ['viaduct setup --undo takes the proxy out of the settings of your programs'],
        };
      case 'status':
        return { ...nothing, commands: [required('launchctl', 'print', service)] };
      case 'restart':
        // -k ends it with SIGTERM, at which it serves what is open, and waits for ExitTimeOut.
        return { ...nothing, commands: [required('launchctl', 'kickstart', '-k', service)] };
      case 'logs':
        return { ...nothing, commands: [required('tail', '-n', String(LOG_LINES), target.logFile)] };
    }
  },
};
