/** One entry of a keyring, as `@napi-rs/keyring` has it, which may be missing: it has no build for every machine. */
export interface Entry {
  getPassword(signal: AbortSignal): Promise<string | null>;
  setPassword(password: string, signal: AbortSignal): Promise<void>;
  deletePassword(signal: AbortSignal): Promise<boolean>;
}
export type EntryOf = (service: string, entry: string) => Entry;
