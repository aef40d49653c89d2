/** Bytes that may still pass in a period, as the gates of a request count them. */
export interface QuotaBudget {
  /** At most so many; 0: none until the period ends. */
  left(): number;
  use(bytes: number): void;
  refund(bytes: number): void;
}
