import { useSignal } from '@preact/signals';
import iconUrl from '../../icon.svg';
import { exchange, keep } from '../api/session.ts';

/** Shown without a token: how to get in. */
export function SignInPage({ why }: { readonly why: string }) {
  const typed = useSignal('');
  const enter = (event: Event) => {
    event.preventDefault();
    const text = typed.value.trim();
    const code = /#(?:code=)?(.+)$/.exec(text)?.[1];
    if (code !== undefined) void exchange(decodeURIComponent(code));
    else if (text !== '') keep(text);
  };
  return (
    <main class="sign-in">
      <div class="brand">
        <img src={iconUrl} alt="" width={20} height={20} /> Viaduct
      </div>
      <h1>Open the dashboard with a link</h1>
      {why !== '' && (
        <p class="banner bad" role="alert">
          {why}
        </p>
      )}
      <p>
        <code>viaduct token --link</code> prints a link that works once, for ten minutes. Open it in this browser, or
        paste it here; a token of <code>viaduct token</code> works too.
      </p>
      <form onSubmit={enter}>
        <label class="field">
          <span class="muted">Link or token</span>
          <input
            name="token"
            type="password"
            autocomplete="off"
            required
            onInput={(event) => {
              typed.value = event.currentTarget.value;
            }}
          />
        </label>
        <div class="buttons">
          <button type="submit" class="primary">
            Open
          </button>
        </div>
      </form>
    </main>
  );
}
