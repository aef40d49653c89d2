import { effect, useSignal } from '@preact/signals';
import { render } from 'preact';
import { useEffect } from 'preact/hooks';
import { connection, startFeed } from './api/feed.ts';
import { signIn, startSession } from './api/session.ts';
import { theme } from './model/preferences.ts';
import { feedListeners, nowMs, readStatus } from './model/state.ts';
import './style.css';
import { ConfirmDialog } from './ui/dialog.tsx';
import { Frame, MENU } from './ui/frame.tsx';
import { Help } from './ui/help.tsx';
import { isTyping, onKey } from './ui/keys.ts';
import { Empty } from './ui/loaded.tsx';
import { Notice } from './ui/notice.tsx';
import { goTo, place } from './ui/place.ts';
import { SignInPage } from './ui/sign-in.tsx';
import { Configuration } from './views/configuration.tsx';
import { Control } from './views/control.tsx';
import { Explain } from './views/explain.tsx';
import { Limits } from './views/limits.tsx';
import { Live } from './views/live.tsx';
import { Log } from './views/log.tsx';
import { Now } from './views/now.tsx';
import { RequestView } from './views/request.tsx';
import { Credentials, PacView, Rules, Upstreams } from './views/routing.tsx';
import { Totals } from './views/totals.tsx';
import { Why } from './views/why.tsx';

/** How soon the page sees what another viewer has done to the proxy. */
const STATUS_MS = 5_000;

const VIEWS = MENU.flatMap(([, views]) => views.map(([view]) => view));

function View() {
  const { view, argument } = place.value;
  switch (view) {
    case 'now':
      return <Now />;
    case 'live':
      return <Live />;
    case 'request':
      return <RequestView id={argument} />;
    case 'totals':
      return <Totals />;
    case 'rules':
      return <Rules />;
    case 'limits':
      return <Limits />;
    case 'upstreams':
      return <Upstreams />;
    case 'pac':
      return <PacView />;
    case 'credentials':
      return <Credentials />;
    case 'why':
      return <Why />;
    case 'explain':
      return <Explain />;
    case 'control':
      return <Control />;
    case 'log':
      return <Log />;
    case 'configuration':
      return <Configuration />;
    default:
      return <Empty>There is no such view.</Empty>;
  }
}

function Page() {
  const isHelpOpen = useSignal(false);
  useEffect(
    () =>
      onKey((event) => {
        if (isTyping(event) || isHelpOpen.value) return false;
        const view = VIEWS[Number(event.key) - 1];
        if (event.key === '?') isHelpOpen.value = true;
        else if (view !== undefined) goTo(view);
        else return false;
        return true;
      }),
    [],
  );
  return (
    <>
      <Frame
        onHelp={() => {
          isHelpOpen.value = true;
        }}
      >
        <View />
      </Frame>
      {isHelpOpen.value && (
        <Help
          onClose={() => {
            isHelpOpen.value = false;
          }}
        />
      )}
      <ConfirmDialog />
      <Notice />
    </>
  );
}

function App() {
  const session = signIn.value;
  if (session.at === 'starting') return null;
  return session.at === 'signed-out' ? <SignInPage why={session.why} /> : <Page />;
}

effect(() => {
  if (theme.value === 'system') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme.value;
});
setInterval(() => {
  nowMs.value = Date.now();
}, 1_000);

setInterval(() => {
  if (connection.value.at !== 'open' || document.visibilityState !== 'visible') return;
  // The connection of the feed says it when the proxy is gone.
  readStatus().catch(() => undefined);
}, STATUS_MS);

// A new token needs a new connection; without one there is none.
effect(() => (signIn.value.at === 'signed-in' ? startFeed(feedListeners) : undefined));

const root = document.getElementById('app');
if (root !== null) render(<App />, root);
void startSession();
