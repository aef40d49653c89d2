import { openRegistry } from '../../native/registry.ts';
import { SETTING_KEYS } from './windows.ts';

/**
 * A text that differs when the system's proxy settings were written in between; `undefined` while that is not known, which it
 * never is on other systems than Windows. It takes 15 calls of the registry, some 50 µs, and is to be asked each second:
 * RegNotifyChangeKeyValue would wait on a thread of its own, and knows nothing of a key that a policy has yet to make.
 */
export function settingsStamp(
  platform: NodeJS.Platform,
  open: typeof openRegistry = openRegistry,
): () => string | undefined {
  if (platform !== 'win32') return () => undefined;
  let read: (() => string) | undefined;
  let asked = 0;
  return () => {
    asked += 1;
    // Not at the first time: that is the start, which does not wait for koffi to be loaded.
    if (asked === 2) {
      void open(platform).then((registry) => {
        if (registry !== undefined) read = () => SETTING_KEYS.map((key) => registry.stampOf(key)).join(' ');
      });
    }
    return read?.();
  };
}
