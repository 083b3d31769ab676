// The tooltip, and a contact's history as a track: windows, opt-outs, holds, and a mark for each message.

const tip = {
  box: byId("tip"),
  owner: null,
  show(owner, x, y, children) {
    this.owner = owner;
    this.box.replaceChildren(...children);
    // Inside an open dialog the tooltip must be in the dialog: only that is on top.
    (byId("detail").open ? byId("detail") : document.body).append(this.box);
    this.box.hidden = false;
    const { offsetWidth: width, offsetHeight: height } = this.box;
    const left = Math.min(Math.max(8, x - width / 2), innerWidth - width - 8);
    const top = y - height - 14 > 8 ? y - height - 14 : y + 18;
    this.box.style.left = `${left}px`;
    this.box.style.top = `${top}px`;
  },
  hide(owner) {
    if (owner && owner !== this.owner) return;
    this.box.hidden = true;
    this.owner = null;
  },
};

const tipOf = (mark) => {
  if (mark.message === undefined) return [mark.text];
  return [el("strong", {}, mark.text), el("dl", {}, ...factRows(M, mark.message).slice(0, -1))];
};

// The span of time that the tracks show; the zoom changes it.
const view = { from: DATA.span[0], to: Math.max(DATA.span[1], DATA.span[0] + 3600) };

const CLOSE = 11; // px: marks of one lane nearer than this become one mark with a number
const KINDS = { opted_out: "opted out", opted_in: "opted in again", erased: "contact erased" };

const QUIET_NOTES = new Set(["conversation_started", "conversation_restarted"]); // the message itself is a mark
const ALL = Symbol("all"); // of the thread: every message and every note

// Everything of a contact that has an instant, in order of time.
const eventsOf = (c, shown = null) => {
  const events = [];
  for (let k = START[c]; k < START[c + 1]; k += 1) {
    const i = OF_CONTACT[k];
    if (shown && shown !== ALL && !shown[i]) continue;
    events.push({ at: WHEN[i], lane: 0, icon: OUTCOMES[M.outcome[i]], message: i, text: describe(M, i), offset: M.offset[i] });
  }
  for (let k = 0; k < C.inbound[c].length; k += 3) {
    const [at, kind, text] = [C.inbound[c][k], T[C.inbound[c][k + 1]], T[C.inbound[c][k + 2]]];
    const offset = offsetOf(c, at);
    const who = kind === "agent" ? "The business wrote" : "The contact wrote";
    const what = kind === "erased" ? "text erased" : text || `(${words(kind)})`;
    events.push({ at, lane: 1, icon: kind === "agent" ? "agent" : "inbound", kind, body: text, text: `${who}, ${momentText(at, offset)}: ${what}`, offset });
  }
  for (let k = 0; k < C.marks[c].length; k += 3) {
    const [at, kind, note] = [C.marks[c][k], T[C.marks[c][k + 1]], T[C.marks[c][k + 2]]];
    const offset = offsetOf(c, at);
    const text = `${label(KINDS[kind] ?? words(kind))}, ${momentText(at, offset)}${note ? `: ${note}` : ""}`;
    if (shown !== ALL && QUIET_NOTES.has(kind)) continue;
    const shape = kind in KINDS && kind !== "erased" ? kind : "note";
    events.push({ at, lane: 1, icon: shape, kind, note, text, offset });
  }
  return events.sort((a, b) => a.at - b.at || a.lane - b.lane);
};

const share = (at, from, to) => Math.min(1, Math.max(0, (at - from) / (to - from)));
const percent = (part) => `${(100 * part).toFixed(3)}%`;
const bandOf = (name, from, to, start, end) =>
  el("i", { class: name, style: { left: percent(share(start, from, to)), width: percent(share(end, from, to) - share(start, from, to)) } });

// The spans between an opt-out and the next opt-in.
const refusals = (c) => {
  const spans = [];
  let since = null;
  for (let k = 0; k < C.marks[c].length; k += 3) {
    const kind = T[C.marks[c][k + 1]];
    if (kind === "opted_out" && since === null) since = C.marks[c][k];
    if (kind === "opted_in" && since !== null) {
      spans.push([since, C.marks[c][k]]);
      since = null;
    }
  }
  if (since !== null) spans.push([since, Infinity]);
  return spans;
};

const bandsOf = (c, from, to, shown) => {
  const bands = [];
  const add = (name, start, end) => { if (end > from && start < to) bands.push(bandOf(name, from, to, start, Math.min(end, to))); };
  for (let k = 0; k < C.windows[c].length; k += 2) add("open", C.windows[c][k], C.windows[c][k + 1]);
  for (const [start, end] of refusals(c)) add("refused", start, end);
  for (let k = START[c]; k < START[c + 1]; k += 1) {
    const i = OF_CONTACT[k];
    if (shown && !shown[i]) continue;
    for (const hold of holdsOf(M, i)) add("hold", hold.at, Math.max(hold.until, hold.at + 60));
    const planned = M.planned[i];
    if (planned !== null && planned >= from && planned < to) bands.push(bandOf("planned", from, to, planned, planned));
  }
  return bands;
};

// Marks that lie close together, as one with a number.
const clustered = (events, from, to, width) => {
  const marks = [];
  const last = [null, null];
  for (const event of events) {
    if (event.at < from || event.at > to) continue;
    const x = share(event.at, from, to) * width;
    const before = last[event.lane];
    if (before && x - before.x < CLOSE) {
      before.events.push(event);
    } else {
      const mark = { x, lane: event.lane, events: [event] };
      last[event.lane] = mark;
      marks.push(mark);
    }
  }
  return marks;
};

const markElement = (mark, width, open) => {
  const [first] = mark.events;
  const many = mark.events.length > 1;
  const same = mark.events.every((event) => event.icon === first.icon);
  // Of several the gravest gives the shape, so that a failure is never hidden behind a delivery.
  const grave = ["opted_out", "failed", "undelivered", "unconfirmed", "skipped"].find((name) => mark.events.some((event) => event.icon === name));
  const shape = same ? first.icon : grave ?? first.icon;
  const text = many ? `${mark.events.length} events: ${mark.events.map((event) => event.text).slice(0, 12).join(". ")}` : first.text;
  const made = el("div", {
    class: `mark lane${mark.lane}`, role: "gridcell", tabindex: "-1", "aria-label": text,
    style: { left: percent(mark.x / width) },
    onclick: () => open(first),
  }, icon(shape), many && el("b", {}, String(mark.events.length)));
  made.events = mark.events;
  return made;
};

const showTipOf = (made) => {
  const { events } = made;
  const box = made.getBoundingClientRect();
  const list = () => [
    el("strong", {}, `${events.length} events`),
    el("ul", {}, ...events.slice(0, 8).map((event) => el("li", {}, event.text))),
    ...(events.length > 8 ? [`and ${events.length - 8} more`] : []),
  ];
  tip.show(made, box.left + box.width / 2, box.top, events.length > 1 ? list() : tipOf(events[0]));
};
for (const [start, end] of [["pointerover", "pointerout"], ["focusin", "focusout"]]) {
  document.addEventListener(start, ({ target }) => { const made = target.closest?.(".mark"); if (made) showTipOf(made); });
  document.addEventListener(end, ({ target }) => { const made = target.closest?.(".mark"); if (made) tip.hide(made); });
}

// Instants for an axis, on whole days or hours of UTC: at most `most` of them.
const axisTicks = (from, to, most) => {
  const steps = [3600, 3 * 3600, 6 * 3600, 12 * 3600, DAY, 2 * DAY, 7 * DAY, 14 * DAY, 28 * DAY, 91 * DAY, 182 * DAY, 364 * DAY];
  const step = steps.find((size) => (to - from) / size <= most) ?? 10 * 364 * DAY;
  const ticks = [];
  for (let at = Math.ceil((DATA.base + from) / step) * step - DATA.base; at < to; at += step) ticks.push({ at, step });
  return ticks;
};
const axisElement = (from, to, width) => {
  const made = el("div", { class: "axis", "aria-hidden": "true" });
  for (const { at, step } of axisTicks(from, to, Math.max(2, Math.floor(width / 84)))) {
    const date = wall(at, 0);
    const text = step < DAY && date.getUTCHours() ? clockText(date) : `${date.getUTCDate()} ${MONTHS[date.getUTCMonth()]}`;
    const left = share(at, from, to);
    if (left < 0.96) made.append(el("span", { style: { left: percent(left) } }, text));
  }
  return made;
};
