/** Accounts of people begin there (login.defs); 65534 is for files without an owner. */
const UID_MIN = 1000;
const UID_WITHOUT_OWNER = 65_534;

/** How many accounts in the text of `/etc/passwd` can log in, this user included. */
export function interactiveUsers(passwd: string, ownUid: number | undefined = process.getuid?.()): number {
  const people = passwd.split('\n').filter((line) => {
    const [, , uid = '', , , , shell = ''] = line.split(':');
    const isPerson =
      Number(uid) >= UID_MIN && Number(uid) !== UID_WITHOUT_OWNER && !/(?:nologin|false)$/.test(shell.trim());
    return uid !== '' && (isPerson || Number(uid) === ownUid);
  });
  return people.length;
}
