// One contact: its track, and the conversation as the person saw it, with what was not sent between the lines.

const LONG = 400; // entries of a conversation that are drawn at first

const CHANGE_OF = new Map();
const ONLY_SECOND = new Map();
if (DATA.compare) {
  DATA.compare.contact.forEach((c, k) => {
    if (DATA.compare.first[k] !== null) CHANGE_OF.set(DATA.compare.first[k], k);
    else ONLY_SECOND.set(c, [...(ONLY_SECOND.get(c) ?? []), k]);
  });
}

const HIDDEN_ON_TRACK = new Set(["window_closed", "other", ...QUIET_NOTES]);

const otherEnding = (k) => {
  const i = DATA.compare.second[k];
  if (i === null) return "not planned";
  const columns = DATA.compare.messages;
  const rule = columns.rule[i] === null ? "" : `, rule ${ruleText(columns, i)}`;
  return `${OUTCOMES[columns.outcome[i]]}, ${momentText(momentOf(columns, i), columns.offset[i])}${rule}`;
};

const factsElement = (columns, i) => el("details", { class: "facts" }, el("summary", {}, "Rule and facts"), el("dl", {}, ...factRows(columns, i)));

const messageEntry = (event) => {
  const i = event.message;
  const outcome = OUTCOMES[M.outcome[i]];
  const wasSent = SENT.has(M.outcome[i]);
  const late = lateText(M.late[i]);
  const reason = words(DATA.reasons[M.reason[i]]);
  const rule = M.rule[i] === null ? "" : ` by ${ruleText(M, i)}`;
  const holds = holdsOf(M, i).map((hold) => el("p", { class: "held" }, icon("held"), ` Held by ${DATA.rules[hold.rule]} until ${momentText(hold.until, offsetOf(M.contact[i], hold.until))}`));
  const other = CHANGE_OF.has(i) && el("p", { class: "other" }, `With ${DATA.compare.title}: ${otherEnding(CHANGE_OF.get(i))}`);
  const line = el("p", { class: "line" }, icon(outcome), el("strong", {}, `${label(outcome)}${rule}`), ` ${reason}${late ? `, ${late}` : ""}`);
  const time = el("time", {}, clockText(wall(event.at, event.offset)));
  const text = M.text[i] === null ? null : T[M.text[i]];
  const said = wasSent
    ? el("p", { class: "bubble" }, text ?? el("em", {}, "The text is not part of the data."))
    : text !== null && el("p", { class: "bubble would" }, text);
  return el("li", { class: wasSent ? "entry out" : "entry unsent", id: `m${i}`, tabindex: "-1" }, said, el("div", { class: "meta" }, line, time, ...holds, other, factsElement(M, i)));
};

const inboundEntry = (event) => {
  const time = el("time", {}, clockText(wall(event.at, event.offset)));
  const erased = event.kind === "erased" && el("em", {}, "Text erased");
  const kind = event.kind !== "text" && event.kind !== "agent" && event.kind !== "erased" && el("em", {}, `${label(event.kind)} `);
  const from = event.kind === "agent" ? "entry agent" : "entry in";
  return el("li", { class: from }, el("p", { class: "bubble" }, erased || "", kind || "", event.body ?? ""), el("div", { class: "meta" }, event.kind === "agent" && "A person of the business ", time));
};

const noteEntry = (event) => el("li", { class: `entry note ${event.kind}` }, icon(event.icon), ` ${event.text}`);

const entryOf = (event) => {
  if (event.message !== undefined) return messageEntry(event);
  return event.icon === "inbound" || event.icon === "agent" ? inboundEntry(event) : noteEntry(event);
};

// The events of the thread: those of the track, and the ends of windows within the span.
const threadEvents = (c) => {
  const events = eventsOf(c, ALL);
  for (let k = 1; k < C.windows[c].length; k += 2) {
    const at = C.windows[c][k];
    if (at > DATA.span[1]) continue;
    const offset = offsetOf(c, at);
    events.push({ at, lane: 1, icon: "note", kind: "window_closed", text: `The window closed, ${momentText(at, offset)}`, offset });
  }
  for (const k of ONLY_SECOND.get(c) ?? []) {
    const i = DATA.compare.second[k];
    const at = momentOf(DATA.compare.messages, i);
    events.push({ at, lane: 1, icon: "note", kind: "other", text: `Only with ${DATA.compare.title}: ${words(DATA.reasons[DATA.compare.messages.reason[i]])} ${otherEnding(k)}`, offset: DATA.compare.messages.offset[i] });
  }
  return events.sort((a, b) => a.at - b.at || b.lane - a.lane);
};

const drawThread = (thread, events, from) => {
  const made = [];
  let day = null;
  if (from > 0) {
    const more = el("button", { type: "button", onclick: () => drawThread(thread, events, Math.max(0, from - LONG)) }, `Show ${plural(from, "earlier entry", "earlier entries")}`);
    made.push(el("li", { class: "more" }, more));
  }
  for (const event of events.slice(from)) {
    const date = localDay(event.at, event.offset);
    if (date !== day) {
      day = date;
      made.push(el("li", { class: "day" }, dayText(dayOf(date), true)));
    }
    made.push(entryOf(event));
  }
  thread.replaceChildren(...made);
};

const openDetail = (c, message) => {
  const dialog = byId("detail");
  tip.hide();
  const events = threadEvents(c);
  const sent = events.filter((event) => event.message !== undefined && SENT.has(M.outcome[event.message])).length;
  const thread = el("ol", { class: "thread", "aria-label": "Conversation" });
  const place = message === undefined ? events.length : events.findIndex((event) => event.message === message);
  drawThread(thread, events, Math.max(0, Math.min(events.length - LONG, place - 20)));
  const unsent = el("input", { type: "checkbox", checked: true, onchange: (change) => thread.classList.toggle("only-sent", !change.target.checked) });
  const track = el("div", { class: "track tall", role: "row" });
  dialog.replaceChildren(
    el("header", {},
      el("div", {}, el("h2", { id: "d-name" }, nameOf(c)), el("p", { class: "where" }, `${C.key[c]}, ${zoneText(c)}`)),
      el("button", { type: "button", class: "close", onclick: () => dialog.close() }, "Close")),
    el("div", { class: "inside", tabindex: "0", role: "region", "aria-label": `History of ${nameOf(c)}` },
      el("div", { role: "grid", "aria-label": "Timeline", class: "trackbox" }, track),
      el("p", { class: "summary" }, `${plural(START[c + 1] - START[c], "message")} planned, ${number(sent)} sent. Times are ${C.zone[c] === null ? "UTC, for the time zone is unknown" : "the contact's local times"}.`),
      el("label", { class: "check" }, unsent, "Show what was not sent"),
      thread));
  dialog.showModal();
  const room = track.clientWidth;
  const jump = (event) => event.message !== undefined && highlight(thread, event.message);
  const marks = clustered(events.filter((event) => !HIDDEN_ON_TRACK.has(event.kind)), DATA.span[0], view.end, room).map((mark) => markElement(mark, room, jump));
  track.replaceChildren(...bandsOf(c, DATA.span[0], view.end, null), ...marks);
  track.parentElement.append(axisElement(DATA.span[0], view.end, room));
  track.hidden = false;
  if (marks.length) marks[0].tabIndex = 0;
  else track.append(el("div", { role: "gridcell" }));
  track.addEventListener("keydown", (event) => walk(event, marks));
  if (message !== undefined) highlight(thread, message);
  else dialog.querySelector(".close").focus();
};

const walk = (event, marks) => {
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  const k = marks.indexOf(event.target);
  if (event.key === "Enter" || event.key === " ") {
    event.preventDefault();
    event.target.click();
  } else if (step && marks[k + step]) {
    event.preventDefault();
    marks[k].tabIndex = -1;
    marks[k + step].tabIndex = 0;
    marks[k + step].focus();
  }
};

const highlight = (thread, message) => {
  const entry = thread.querySelector(`#m${message}`);
  if (!entry) return;
  for (const other of thread.querySelectorAll(".at")) other.classList.remove("at");
  entry.classList.add("at");
  entry.querySelector("details").open = true;
  entry.focus({ preventScroll: true });
  const isTall = entry.offsetHeight > 0.6 * innerHeight;
  entry.scrollIntoView({ block: isTall ? "start" : "center" });
};
