// Texts for people, and elements; nothing here reads markup: every text becomes a text node.

const WEEKDAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const two = (number) => String(number).padStart(2, "0");
const number = (value) => value.toLocaleString("en");
const plural = (count, one, many = `${one}s`) => `${number(count)} ${count === 1 ? one : many}`;
const sum = (values) => values.reduce((all, value) => all + value, 0);
const words = (name) => name.replaceAll("_", " ");
const label = (name) => words(name).replace(/^./, (letter) => letter.toUpperCase());

// The contact's wall clock as a Date whose UTC fields are that clock's.
const wall = (seconds, offset) => new Date((DATA.base + seconds + (offset ?? 0) * 60) * 1000);
const dayText = (date, year = false) =>
  `${WEEKDAYS[date.getUTCDay()]} ${date.getUTCDate()} ${MONTHS[date.getUTCMonth()]}${year ? ` ${date.getUTCFullYear()}` : ""}`;
const clockText = (date) => `${two(date.getUTCHours())}:${two(date.getUTCMinutes())}`;
const momentText = (seconds, offset) => {
  if (seconds === null || seconds === undefined) return "not set";
  const date = wall(seconds, offset);
  return `${dayText(date)}, ${clockText(date)}${offset === null || offset === undefined ? " UTC" : ""}`;
};
const dayOf = (days) => new Date(days * DAY * 1000);

const durationText = (seconds) => {
  const size = Math.abs(seconds);
  if (size < 60) return `${Math.round(size)} s`;
  if (size < 3600) return `${Math.round(size / 60)} min`;
  if (size < 2 * DAY) {
    const hours = Math.floor(size / 3600);
    const minutes = Math.round((size % 3600) / 60);
    return minutes && hours < 10 ? `${hours} h ${minutes} min` : `${Math.round(size / 3600)} h`;
  }
  return `${Math.round(size / DAY)} days`;
};
const lateText = (late) => {
  if (late === null || late === undefined) return "";
  if (Math.abs(late) < 60) return "on time";
  return `${durationText(late)} ${late < 0 ? "early" : "late"}`;
};

const nameOf = (c) => C.name[c] || C.key[c].split("/").slice(2).join("/");
// Minutes by which the contact's clock is ahead of UTC at that instant, by the browser's own zones; null if unknown.
const clocks = new Map();
const offsetOf = (c, seconds) => {
  const zone = C.zone[c];
  if (zone === null) return null;
  if (!clocks.has(zone)) clocks.set(zone, clockOf(T[zone]));
  const clock = clocks.get(zone);
  if (clock === null) return null;
  const found = /([+-])(\d\d):?(\d\d)?/.exec(clock.format((DATA.base + seconds) * 1000));
  return found ? (found[1] === "-" ? -1 : 1) * (60 * found[2] + Number(found[3] ?? 0)) : 0;
};
const clockOf = (zone) => {
  try {
    return new Intl.DateTimeFormat("en", { timeZone: zone, timeZoneName: "longOffset", hour: "numeric" });
  } catch (error) {
    if (error instanceof RangeError) return null; // a zone that this browser does not know
    throw error;
  }
};
const placeText = (c) => (C.zone[c] === null ? "zone unknown" : words(T[C.zone[c]].split("/").at(-1)));
const zoneText = (c) => (C.zone[c] === null ? "time zone unknown" : T[C.zone[c]]);

const factText = (value, c) => {
  if (value !== null && typeof value === "object" && "at" in value && Object.keys(value).length === 1) {
    return momentText(value.at, offsetOf(c, value.at));
  }
  if (value !== null && typeof value === "object" && !Array.isArray(value)) {
    return Object.entries(value).map(([name, inner]) => `${name}: ${factText(inner, c)}`).join(", ");
  }
  return Array.isArray(value) ? value.map((inner) => factText(inner, c)).join(", ") : String(value);
};

// el("p", {class: "count", onclick: f, "aria-label": "…"}, child, …); a style is set by name, never by a text of CSS.
const el = (tag, attributes = {}, ...children) => {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [property, size] of Object.entries(value)) made.style.setProperty(property, size);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return made;
};
const SVG = "http://www.w3.org/2000/svg";
const icon = (name, extra = "") => {
  const made = document.createElementNS(SVG, "svg");
  made.setAttribute("class", `icon c-${name} ${extra}`);
  made.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#o-${name}`);
  made.append(use);
  return made;
};
const byId = (id) => document.getElementById(id);

// The rule that decided, and the rule that would have held the message too long.
const ruleText = (columns, i) => {
  const by = factsOf(columns.facts[i]).find(([name]) => name === "held_by");
  return DATA.rules[columns.rule[i]] + (by ? ` (held by ${by[1]})` : "");
};

// What a message is, in one line: for a screen reader and the tooltip.
const describe = (columns, i) => {
  const offset = columns.offset[i];
  const outcome = OUTCOMES[columns.outcome[i]];
  const parts = [`${label(outcome)}: ${words(DATA.reasons[columns.reason[i]])}, ${momentText(momentOf(columns, i), offset)}`];
  if (columns.rule[i] !== null) parts.push(`rule ${ruleText(columns, i)}`);
  for (const hold of holdsOf(columns, i)) parts.push(`held by ${DATA.rules[hold.rule]} until ${momentText(hold.until, offsetOf(columns.contact[i], hold.until))}`);
  const late = lateText(columns.late[i]);
  if (late) parts.push(late);
  return parts.join("; ");
};

// Every fact about a message as rows of a description list.
const factRows = (columns, i) => {
  const c = columns.contact[i];
  const moment = (at) => momentText(at, offsetOf(c, at));
  const rows = [];
  const add = (name, value) => rows.push(el("div", {}, el("dt", {}, name), el("dd", {}, value)));
  add("Subject", T[columns.subject[i]]);
  if (columns.planned[i] !== null) add("Planned", moment(columns.planned[i]));
  if (columns.due[i] !== null) add("Due", moment(columns.due[i]));
  for (const hold of holdsOf(columns, i)) {
    add("Held", `by ${DATA.rules[hold.rule]}, ${moment(hold.at)} until ${moment(hold.until)}`);
    for (const [name, value] of factsOf(hold.facts)) add(label(name), factText(value, c));
  }
  if (columns.at[i] !== null) add(label(SENT.has(columns.outcome[i]) ? "sent" : OUTCOMES[columns.outcome[i]]), moment(columns.at[i]));
  if (columns.reported[i] !== null) add("Receipt", moment(columns.reported[i]));
  if (columns.rule[i] !== null) add("Rule", DATA.rules[columns.rule[i]]);
  for (const [name, value] of factsOf(columns.facts[i])) add(label(name), factText(value, c));
  add("Message id", columns.id[i]);
  return rows;
};
