import { ApiError, request } from '../api/request.ts';
import type { Row } from '../api/shape.ts';
import { targetText } from '../model/columns.ts';
import { countText } from '../model/units.ts';
import { confirmAction } from '../ui/dialog.tsx';
import { attempt } from '../ui/notice.tsx';

/** The API takes bodies of 64 KiB. */
const IDS_PER_REQUEST = 500;

/** Ends one request after a question. */
export async function endOne(row: Row): Promise<void> {
  const reason = await confirmAction({
    title: `End ${targetText(row)}?`,
    text: 'The client sees its connection break, or a 503 where no response has begun.',
    action: 'End it',
    hasReason: 'with-reason',
  });
  if (reason === undefined) return;
  await attempt('Ending it', async () => {
    try {
      await request('DELETE', `tunnels/${encodeURIComponent(row.id)}`, reason === '' ? undefined : { reason });
      return `${targetText(row)} was ended.`;
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) return `${targetText(row)} had ended already.`;
      throw error;
    }
  });
}

/** Ends exactly these, after a question that counts them: rows that appear meanwhile are not among them. */
export async function endAll(rows: readonly Row[], filter: string): Promise<void> {
  const ids = rows.map(({ id }) => id);
  const which = ids.length === 1 ? '1 request' : `${countText(ids.length)} requests`;
  const reason = await confirmAction({
    title: `End ${which}?`,
    text:
      filter === ''
        ? 'No filter is set: this is everything that is open.'
        : `Everything open that matches “${filter}”.`,
    action: `End ${which}`,
    hasReason: 'with-reason',
  });
  if (reason === undefined) return;
  await attempt('Ending them', async () => {
    let ended = 0;
    for (let first = 0; first < ids.length; first += IDS_PER_REQUEST) {
      const some = { ids: ids.slice(first, first + IDS_PER_REQUEST), ...(reason === '' ? {} : { reason }) };
      ended += (await request<{ ended: number }>('POST', 'tunnels/end', some)).ended;
    }
    return ended === ids.length
      ? `${which} ended.`
      : `${countText(ended)} of ${which} ended; the others had ended already.`;
  });
}
