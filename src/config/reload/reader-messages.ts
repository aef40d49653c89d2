import type { FlagValue } from '../flags.ts';
import type { Sources } from '../sources.ts';
import type { Parcel } from './parcels.ts';
import type { ConfigFiles, RereadResult } from './reread.ts';

/** What the thread is given; a flag by its name, since the functions of one cannot be sent. */
export interface ReaderData {
  readonly sources: Omit<Sources, 'flags'> & {
    readonly flags: readonly (Omit<FlagValue, 'flag'> & { readonly flag: string })[];
  };
  readonly before: Omit<ConfigFiles, 'bytes'> & { readonly bytes: Uint8Array<ArrayBuffer> | undefined };
}

export type FromReader =
  /** What is wrong, as the lines of a ConfigError. */
  | { readonly did: 'refuse'; readonly lines: readonly string[] }
  /** Everything but the configuration, which follows in parcels. */
  | {
      readonly did: 'read';
      readonly reread: Omit<RereadResult, 'config' | 'from'> & { readonly from: ReaderData['before'] };
    }
  | { readonly did: 'send'; readonly parcel: Parcel };

/** Asks for the next parcel. */
export type ToReader = 'next';
