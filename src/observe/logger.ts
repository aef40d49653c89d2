/** Messages to the operator that do not concern one request; one whole sentence each, without a line end. */
export interface Logger {
  info(message: string): void;
  warn(message: string): void;
  error(message: string): void;
}
