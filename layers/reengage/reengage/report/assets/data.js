"use strict";
// The data of the page: columns of messages, and what the filters leave of them.

const DATA = JSON.parse(document.getElementById("data").textContent);
const M = DATA.messages;
const C = DATA.contacts;
const T = DATA.texts;
const COUNT = M.id.length;
const OUTCOMES = DATA.outcomes;
const SENT = new Set(["sent", "delivered", "undelivered"].map((name) => OUTCOMES.indexOf(name)));
const HELD = OUTCOMES.length; // the chip "held" beside the outcomes
const DAY = 86400;

// The instant by which a message is sorted and shown: its outcome, else when it is due, else when it was planned.
const momentOf = (columns, i) => columns.at[i] ?? columns.due[i] ?? columns.planned[i] ?? 0;
const moments = (columns) => Float64Array.from(columns.id, (_, i) => momentOf(columns, i));
// The day by the contact's clock, as a number of days since 1970; by UTC if the zone is unknown.
const localDay = (seconds, offset) => Math.floor((DATA.base + seconds + (offset ?? 0) * 60) / DAY);

const WHEN = moments(M);
const LOCAL_DAY = Int32Array.from(M.id, (_, i) => localDay(WHEN[i], M.offset[i]));
const BY_TIME = Uint32Array.from(M.id.keys()).sort((a, b) => WHEN[a] - WHEN[b] || a - b);

// The messages of each contact, in order of time: OF_CONTACT[START[c]] to OF_CONTACT[START[c + 1] - 1].
const START = new Uint32Array(C.key.length + 1);
for (const c of M.contact) START[c + 1] += 1;
for (let c = 0; c < C.key.length; c += 1) START[c + 1] += START[c];
const OF_CONTACT = new Uint32Array(COUNT);
{
  const next = START.slice();
  for (const i of BY_TIME) OF_CONTACT[next[M.contact[i]]++] = i;
}

const HAYSTACK = C.key.map((key, c) => `${key} ${C.name[c] ?? ""}`.toLocaleLowerCase("en"));

const filters = { outcomes: new Set(), reason: null, rule: null, day: null, contact: "", change: null };

const holdsOf = (columns, i) => {
  const flat = columns.held[i] || [];
  const holds = [];
  for (let k = 0; k < flat.length; k += 4) {
    holds.push({ rule: flat[k], at: flat[k + 1], until: flat[k + 2], facts: flat[k + 3] });
  }
  return holds;
};
const heldBy = (columns, i, rule) => {
  const flat = columns.held[i];
  if (flat) for (let k = 0; k < flat.length; k += 4) if (flat[k] === rule) return true;
  return false;
};

// Which contacts the search field leaves; null for all.
const searched = () => {
  const words = filters.contact.toLocaleLowerCase("en").split(/\s+/).filter(Boolean);
  if (!words.length) return null;
  return Uint8Array.from(HAYSTACK, (text) => (words.every((word) => text.includes(word)) ? 1 : 0));
};

const matcher = (columns, days) => {
  const { outcomes, reason, rule, day } = filters;
  const contacts = searched();
  return (i) =>
    (reason === null || columns.reason[i] === reason) &&
    (day === null || days[i] === day) &&
    (outcomes.size === 0 || outcomes.has(columns.outcome[i]) || (outcomes.has(HELD) && columns.held[i] !== 0)) &&
    (rule === null || columns.rule[i] === rule || heldBy(columns, i, rule)) &&
    (contacts === null || contacts[columns.contact[i]] === 1);
};

// The messages that the filters leave, in order of time, and the contacts that they leave.
const select = () => {
  const matches = matcher(M, LOCAL_DAY);
  const messages = BY_TIME.filter(matches);
  const shown = new Uint8Array(COUNT);
  const has = new Uint8Array(C.key.length);
  for (const i of messages) {
    shown[i] = 1;
    has[M.contact[i]] = 1;
  }
  const contacts = searched();
  const narrow = filters.reason !== null || filters.rule !== null || filters.day !== null || filters.outcomes.size > 0;
  const rows = [];
  for (let c = 0; c < C.key.length; c += 1) {
    if (has[c] || (!narrow && (contacts === null || contacts[c]))) rows.push(c);
  }
  return { messages, shown, rows };
};

// The differences that the filters leave: those of which one of the two messages matches.
const SECOND_DAY = DATA.compare && Int32Array.from(DATA.compare.messages.id, (_, i) =>
  localDay(momentOf(DATA.compare.messages, i), DATA.compare.messages.offset[i]));
const selectChanges = () => {
  const found = [];
  if (!DATA.compare) return found;
  const first = matcher(M, LOCAL_DAY);
  const second = matcher(DATA.compare.messages, SECOND_DAY);
  const { change, first: before, second: after } = DATA.compare;
  for (let k = 0; k < change.length; k += 1) {
    if (filters.change !== null && change[k] !== filters.change) continue;
    if ((before[k] !== null && first(before[k])) || (after[k] !== null && second(after[k]))) found.push(k);
  }
  return found;
};

// The facts of a decision as [name, value] pairs; instants as {at}.
const factsOf = (packed) => {
  if (!packed) return [];
  return DATA.shapes[packed[0]].split("\n").map((field, k) => {
    const value = packed[k + 1];
    const name = field.slice(1);
    if (field[0] === "@") return [name, { at: value }];
    return [name, field[0] === "$" ? T[value] : value];
  });
};
