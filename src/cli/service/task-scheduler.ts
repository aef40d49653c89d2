import { win32 } from 'node:path';
import { LOG_LINES, optional, required, type ServiceSystem, type ServiceTarget } from './service-system.ts';

const TASK = 'Viaduct';

const xml = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');

/** As CommandLineToArgvW takes it apart: backslashes count only before a quotation mark. */
const windowsWord = (word: string): string =>
  /^[\w:\\/.=,@+-]+$/.test(word) ? word : `"${word.replace(/(\\*)"/g, '$1$1\\"').replace(/(\\+)$/, '$1$1')}"`;

const taskFile = ({ logFile }: ServiceTarget): string => win32.join(win32.dirname(logFile), 'service.xml');

/** The task has no window, and cmd writes what the proxy prints to the log. Without limits of time: the default is 72 hours. */
function task(target: ServiceTarget): string {
  const { program, logFile, user } = target;
  const line = `${program.map(windowsWord).join(' ')} >>"${logFile}" 2>&1`;
  return `<?xml version="1.0" encoding="UTF-16"?>
<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <RegistrationInfo><Description>Viaduct, a forward proxy</Description></RegistrationInfo>
  <Triggers><LogonTrigger><Enabled>true</Enabled><UserId>${xml(user)}</UserId></LogonTrigger></Triggers>
  <Principals>
    <Principal id="Author"><UserId>${xml(user)}</UserId><LogonType>InteractiveToken</LogonType><RunLevel>LeastPrivilege</RunLevel></Principal>
  </Principals>
  <Settings>
    <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>
    <DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>
    <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>
    <StartWhenAvailable>true</StartWhenAvailable>
    <RestartOnFailure><Interval>PT1M</Interval><Count>10</Count></RestartOnFailure>
    <ExecutionTimeLimit>PT0S</ExecutionTimeLimit>
    <Hidden>true</Hidden>
  </Settings>
  <Actions Context="Author">
    <Exec><Command>conhost.exe</Command><Arguments>${xml(`--headless cmd.exe /d /s /c "${line}"`)}</Arguments></Exec>
  </Actions>
</Task>
`;
}

export const taskScheduler: ServiceSystem = {
  name: 'Task Scheduler',
  plan(action, target) {
    const nothing = { files: [], removed: [], commands: [], notes: [] };
    const schtasks = (...words: string[]) => required('schtasks.exe', ...words);
    switch (action) {
      case 'install':
        return {
          ...nothing,
          files: [{ path: taskFile(target), text: task(target), encoding: 'utf16le' }],
          commands: [schtasks('/Create', '/TN', TASK, '/XML', taskFile(target), '/F'), schtasks('/Run', '/TN', TASK)],
          notes: ['it starts when you log on', 'viaduct setup points the programs of this machine at it'],
        };
      case 'uninstall':
        return {
          ...nothing,
          removed: [taskFile(target)],
          commands: [optional('schtasks.exe', '/End', '/TN', TASK), schtasks('/Delete', '/TN', TASK, '/F')],
          notes: ['viaduct setup --undo takes the proxy out of the settings of your programs'],
        };
      case 'status':
        return { ...nothing, commands: [schtasks('/Query', '/TN', TASK, '/V', '/FO', 'LIST')] };
      case 'restart':
        return {
          ...nothing,
          commands: [optional('schtasks.exe', '/End', '/TN', TASK), schtasks('/Run', '/TN', TASK)],
        };
      case 'logs': {
        const get = `Get-Content -Tail ${LOG_LINES} -LiteralPath '${target.logFile.replaceAll("'", "''")}'`;
        return { ...nothing, commands: [required('powershell.exe', '-NoProfile', '-Command', get)] };
      }
    }
  },
};
