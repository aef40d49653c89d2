/** Sends all messages of one turn of the event loop together: each send costs two system calls and a wake-up. */
export class Outbox<M> {
  readonly #send: (messages: readonly M[]) => void;
  #messages: M[] = [];

  constructor(send: (messages: readonly M[]) => void) {
    this.#send = send;
  }

  post(message: M): void {
    this.#messages.push(message);
    if (this.#messages.length > 1) return;
    // Not on the clock: it is no wait, only the end of this turn.
    setImmediate(() => {
      const messages = this.#messages;
      this.#messages = [];
      this.#send(messages);
    });
  }
}
