import { userInfo } from 'node:os';

/** Who runs this program; empty where the system knows no name for its number, as in some containers. */
export function loginName(): string {
  try {
    return userInfo().username;
  } catch {
    return '';
  }
}
