/** What became of the requests and tunnels that were open when the proxy began to stop. */
export interface DrainReport {
  /** They ended by themselves, in the time that they had. */
  readonly finished: number;
  /** They were still open when their time was over. */
  readonly aborted: number;
  /** How long the longest of them had lasted when it ended, since its head was read; 0 where none was open. */
  readonly longestMs: number;
}
