import type { RefObject } from 'preact';
import { useEffect, useState } from 'preact/hooks';

/** Rows beside the visible ones, so that a quick scroll shows no gap. */
const BESIDE = 8;

/** Which rows of a list of equal heights are near the visible part of its scrolling element. */
export function useWindow(holder: RefObject<HTMLElement | null>, rowPx: number, count: number) {
  const [seen, setSeen] = useState({ top: 0, height: 800 });
  useEffect(() => {
    const element = holder.current;
    if (element === null) return;
    const read = () => setSeen({ top: element.scrollTop, height: element.clientHeight });
    read();
    const resized = new ResizeObserver(read);
    resized.observe(element);
    element.addEventListener('scroll', read, { passive: true });
    return () => {
      resized.disconnect();
      element.removeEventListener('scroll', read);
    };
  }, [holder]);
  const first = Math.max(0, Math.min(count, Math.floor(seen.top / rowPx) - BESIDE));
  const end = Math.min(count, Math.ceil((seen.top + seen.height) / rowPx) + BESIDE);
  return { first, end };
}

/** Whether a media query matches, now and after each change. */
export function useMedia(query: string): boolean {
  const [matches, setMatches] = useState(() => matchMedia(query).matches);
  useEffect(() => {
    const media = matchMedia(query);
    const read = () => setMatches(media.matches);
    read();
    media.addEventListener('change', read);
    return () => media.removeEventListener('change', read);
  }, [query]);
  return matches;
}

/** Scrolls so that a row can be seen, below a head that stays in place. */
export function reveal(element: HTMLElement, at: number, rowPx: number, headPx: number): void {
  const top = at * rowPx;
  if (top < element.scrollTop) element.scrollTop = top;
  else if (top + rowPx + headPx > element.scrollTop + element.clientHeight)
    element.scrollTop = top + rowPx + headPx - element.clientHeight;
}
