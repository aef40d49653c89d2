import { userInfo } from 'node:os';

/** The name of the user who runs this program; empty where the system has none for the user id, as in some containers. */
export function loginName(): string {
  try {
    return userInfo().username;
  } catch {
    return '';
  }
}
