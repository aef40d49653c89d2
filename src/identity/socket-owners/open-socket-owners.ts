import { openLinuxSocketOwners } from './linux-socket-owners.ts';
import type { SocketOwners } from './socket-owners.ts';
import { openWindowsSocketOwners } from './windows-socket-owners.ts';

let opened: SocketOwners | { readonly unavailable: string } | undefined;

/** Those of this system, or why it cannot tell; the same at every call. */
export function openSocketOwners(): SocketOwners | { readonly unavailable: string } {
  opened ??= open();
  return opened;
}

function open(): SocketOwners | { readonly unavailable: string } {
  if (process.platform === 'linux') return openLinuxSocketOwners();
  if (process.platform === 'win32') return openWindowsSocketOwners();
  return { unavailable: 'this system does not tell whose a connection is' };
}
