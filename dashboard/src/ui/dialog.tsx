import { signal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';

interface Question {
  readonly title: string;
  readonly text: string;
  /** What the button that agrees says. */
  readonly action: string;
  readonly hasReason: 'with-reason' | 'without-reason';
}

interface Open extends Question {
  readonly answer: (reason: string | undefined) => void;
}

const open = signal<Open | undefined>(undefined);

/** Asks before something is destroyed. Gives the reason, maybe empty; `undefined`: no. */
export function confirmAction(question: Question): Promise<string | undefined> {
  open.value?.answer(undefined);
  return new Promise((resolve) => {
    open.value = {
      ...question,
      answer: (reason) => {
        open.value = undefined;
        resolve(reason);
      },
    };
  });
}

export const isDialogOpen = (): boolean => open.value !== undefined;

export function ConfirmDialog() {
  const question = open.value;
  const dialog = useRef<HTMLDialogElement>(null);
  const reason = useRef<HTMLInputElement>(null);
  useEffect(() => {
    if (question !== undefined && dialog.current?.open === false) dialog.current.showModal();
  }, [question]);
  if (question === undefined) return null;
  const agree = (event: Event) => {
    event.preventDefault();
    question.answer(reason.current?.value.trim() ?? '');
  };
  return (
    <dialog ref={dialog} aria-labelledby="question" onClose={() => question.answer(undefined)}>
      <form onSubmit={agree}>
        <h1 id="question">{question.title}</h1>
        <p>{question.text}</p>
        {question.hasReason === 'with-reason' && (
          <label class="field">
            <span class="muted">Reason, for the record (optional)</span>
            <input ref={reason} name="reason" maxLength={200} autocomplete="off" />
          </label>
        )}
        <div class="buttons">
          <button type="button" onClick={() => question.answer(undefined)}>
            Cancel
          </button>
          <button type="submit" class="danger">
            {question.action}
          </button>
        </div>
      </form>
    </dialog>
  );
}
