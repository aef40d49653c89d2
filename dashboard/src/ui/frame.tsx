import { useSignal, useSignalEffect } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import iconUrl from '../../icon.svg';
import { connection } from '../api/feed.ts';
import { MODE_TEXT } from '../model/mode.ts';
import { theme } from '../model/preferences.ts';
import { counters, dataAgeSeconds, nowMs, proxyNowMs, status } from '../model/state.ts';
import { countText, durationText } from '../model/units.ts';
import { place } from './place.ts';

/** The views in the order of the menu. */
export const MENU = [
  [
    'Traffic',
    [
      ['now', 'Now'],
      ['live', 'Live'],
      ['totals', 'Totals'],
    ],
  ],
  [
    'Decisions',
    [
      ['rules', 'Rules'],
      ['limits', 'Limits'],
      ['upstreams', 'Upstream proxies'],
      ['pac', 'PAC'],
      ['credentials', 'Credentials'],
      ['why', 'Why?'],
      ['explain', 'Explain'],
    ],
  ],
  [
    'Proxy',
    [
      ['control', 'Control'],
      ['log', 'Log'],
      ['configuration', 'Configuration'],
    ],
  ],
] as const;

const TITLES = new Map<string, string>(
  MENU.flatMap(([, views]) => views.map(([view, title]) => [view, title] as const)),
);
/** Older than this, figures are no longer those of now: one comes each second, a comment every 15. */
const OLD_SECONDS = 17;

export function Frame({ children, onHelp }: { readonly children: ComponentChildren; readonly onHelp: () => void }) {
  const isMenuOpen = useSignal(false);
  useSignalEffect(() => {
    place.value;
    isMenuOpen.value = false;
  });
  const current = place.value.view;
  const title = TITLES.get(current) ?? 'Request';
  return (
    <div class={isMenuOpen.value ? 'frame menu-open' : 'frame'}>
      <header class="top">
        <button
          type="button"
          class="menu-button"
          aria-expanded={isMenuOpen.value ? 'true' : 'false'}
          onClick={() => {
            isMenuOpen.value = !isMenuOpen.value;
          }}
        >
          ☰ {title}
        </button>
        <a class="brand" href="#/now" aria-label="Viaduct">
          <img src={iconUrl} alt="" width={20} height={20} /> <span>Viaduct</span>
        </a>
        <Health />
        <ModeChip />
      </header>
      <nav aria-label="Views">
        {MENU.map(([group, views]) => (
          <section key={group} aria-label={group}>
            <h2>{group}</h2>
            {views.map(([view, text]) => (
              <a key={view} href={`#/${view}`} aria-current={view === current ? 'page' : undefined}>
                {text}
                {view === 'live' && counters.value !== undefined && <span>{countText(counters.value.open)}</span>}
              </a>
            ))}
          </section>
        ))}
        <div class="nav-foot">
          <ThemeChoice />
          <button type="button" onClick={onHelp} aria-label="Keys" title="Keys">
            ?
          </button>
        </div>
      </nav>
      <main class={connection.value.at === 'lost' ? 'stale' : ''}>
        <h1 class="hidden-text">{title}</h1>
        <Banners />
        {children}
      </main>
    </div>
  );
}

/** Whether figures come, and how old they are: in words and by shape, not by colour alone. */
function Health() {
  const age = dataAgeSeconds.value;
  const now = connection.value;
  const ageText = age === undefined ? 'no data yet' : `data is ${durationText(Math.max(age, 1) * 1_000)} old`;
  const isOld = age === undefined || age > OLD_SECONDS;
  const [word, look] =
    now.at === 'open' && !isOld
      ? ['live', '']
      : now.at === 'lost'
        ? ['disconnected', 'lost']
        : ['connecting', 'waiting'];
  return (
    <span class={`health ${look}`} title={`The proxy is ${word}`}>
      {word} <span class="muted">· {ageText}</span>
    </span>
  );
}

function ModeChip() {
  const mode = status.value?.mode;
  if (mode === undefined || mode.mode === 'configured') return null;
  const leftMs = mode.until === undefined ? undefined : Date.parse(mode.until) - proxyNowMs.value;
  if (leftMs !== undefined && leftMs <= 0) return null;
  return (
    <a class="chip" href="#/control">
      {MODE_TEXT[mode.mode]}
      {leftMs !== undefined && ` for ${durationText(leftMs)}`}
    </a>
  );
}

function ThemeChoice() {
  return (
    <select
      aria-label="Theme"
      title="Theme"
      value={theme.value}
      onChange={({ currentTarget: { value } }) => {
        theme.value = value === 'light' || value === 'dark' ? value : 'system';
      }}
    >
      <option value="system">System</option>
      <option value="light">Light</option>
      <option value="dark">Dark</option>
    </select>
  );
}

function Banners() {
  const now = connection.value;
  nowMs.value;
  return (
    <>
      {status.value?.draining === true && (
        <p class="banner">The proxy is draining: it takes no new request, and open ones get some time to end.</p>
      )}
      {now.at === 'lost' && (
        <p class="banner bad" role="alert">
          The proxy does not answer. The page connects again by itself; what it shows is what came last.
        </p>
      )}
    </>
  );
}
