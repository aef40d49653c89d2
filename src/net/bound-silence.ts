import { loadAddon } from '../native/addon.ts';
import { keepAlive } from './deferred-keep-alive.ts';

/** Bounds the silence of peers on Node's own sockets by the addon. Where it is not built, the kernel's usual time holds. */
export function boundSilenceOfAll(): void {
  const { addon } = loadAddon();
  if (addon !== undefined)
    keepAlive.boundDescriptorsBy((fd, afterMs, isBound) => addon.boundSilence(fd, afterMs, isBound));
}
