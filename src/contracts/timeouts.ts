/** Every wait that a configuration sets, in milliseconds; 0, where it may be that, never ends. `timeouts` of CONFIG.md says more. */
export interface Timeouts {
  /** From the first question to the resolver to a connection, TLS with a proxy included. */
  readonly connectMs: number;
  /** From the end of a request to the head of its response. */
  readonly headMs: number;
  /** Between two bytes of a client's request head. */
  readonly requestHeadMs: number;
  /** Silence of a client in the middle of a request body. */
  readonly requestBodyMs: number;
  /** Silence of both sides of a tunnel. */
  readonly idleMs: number;
  /** Silence of one side of a tunnel after the other has ended. */
  readonly lingerMs: number;
  /** After the FIN of a client behind a complete plain request: how long nothing may be sent to it. 0: at once. */
  readonly clientGoneMs: number;
  /** Silence of an origin in the middle of a response of known length. */
  readonly bodyMs: number;
  /** How long the command goes on serving new requests after a signal to stop, while `/readyz` says so. */
  readonly drainDelayMs: number;
  /** How long open requests may go on when the proxy stops. */
  readonly drainMs: number;
}
