import { useEffect, useRef } from 'preact/hooks';

const KEYS = [
  ['1 … 9', 'the views of the menu, in order'],
  ['/', 'filter the live table'],
  ['p', 'pause or resume the live table'],
  ['↑ ↓ PgUp PgDn Home End', 'move in the table'],
  ['Enter', 'open the selected request'],
  ['Delete', 'end the selected request'],
  ['Esc', 'leave a field or a dialog'],
  ['?', 'this list'],
] as const;

export function Help({ onClose }: { readonly onClose: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} aria-label="Keys" onClose={onClose}>
      <form method="dialog">
        <h1>Keys</h1>
        <dl class="facts">
          {KEYS.map(([key, text]) => (
            <div key={key}>
              <dt>
                <kbd>{key}</kbd>
              </dt>
              <dd>{text}</dd>
            </div>
          ))}
        </dl>
        <div class="buttons">
          <button type="submit">Close</button>
        </div>
      </form>
    </dialog>
  );
}
