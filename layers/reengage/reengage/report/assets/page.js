// The page itself: totals, filters, tabs and zoom, and what each of them redraws.

view.end = view.to;

// Counts over all messages, whatever the filters say.
const tally = () => {
  const totals = DATA.reasons.map(() => OUTCOMES.map(() => 0));
  const rules = DATA.rules.map(() => ({ skipped: 0, held: 0 }));
  for (let i = 0; i < COUNT; i += 1) {
    totals[M.reason[i]][M.outcome[i]] += 1;
    if (M.rule[i] !== null) rules[M.rule[i]].skipped += 1;
    for (const rule of new Set(holdsOf(M, i).map((hold) => hold.rule))) rules[rule].held += 1;
  }
  return { totals, rules };
};
const { totals, rules } = tally();
const ofOutcome = OUTCOMES.map((_, o) => sum(totals.map((row) => row[o])));
const USED = OUTCOMES.map((_, o) => o).filter((o) => ofOutcome[o]);
const REASON_ORDER = DATA.reasons.map((_, r) => r).filter((r) => sum(totals[r])).sort((a, b) => sum(totals[b]) - sum(totals[a]));

const lead = () => {
  const sent = sum(OUTCOMES.map((_, o) => (SENT.has(o) ? ofOutcome[o] : 0)));
  const skipped = ofOutcome[OUTCOMES.indexOf("skipped")];
  const waiting = ofOutcome[OUTCOMES.indexOf("scheduled")];
  const trouble = ["undelivered", "failed", "unconfirmed"].filter((name) => ofOutcome[OUTCOMES.indexOf(name)]);
  const top = rules.map((rule, r) => [rule.skipped, r]).sort((a, b) => b[0] - a[0])[0];
  const parts = [`${plural(COUNT, "message")} planned for ${plural(C.key.length, "contact")}: ${number(sent)} sent, ${number(skipped)} skipped`];
  if (skipped && top) parts.push(`, most often by ${DATA.rules[top[1]]} (${number(top[0])})`);
  parts.push(".");
  if (waiting) parts.push(` ${number(waiting)} ${waiting === 1 ? "is" : "are"} still scheduled.`);
  if (trouble.length) parts.push(` ${label(trouble.map((name) => `${number(ofOutcome[OUTCOMES.indexOf(name)])} ${name}`).join(", "))}.`);
  byId("lead").textContent = COUNT ? parts.join("") : "No message was planned.";
};

const show = (change) => {
  Object.assign(filters, { outcomes: new Set(), reason: null, rule: null, day: null, contact: "", change: null }, change);
  syncFields();
  apply();
  byId("explore").focus({ preventScroll: true });
  byId("explore").scrollIntoView();
};

const figure = (value, text, change, extra = "") =>
  value ? el("button", { type: "button", class: `figure ${extra}`, "aria-label": text, onclick: () => show(change) }, number(value)) : el("span", { class: "zero" }, "0");

const drawTotals = () => {
  const most = Math.max(1, ...totals.map(sum));
  const head = USED.map((o) => el("th", { scope: "col", class: "n" }, icon(OUTCOMES[o]), el("span", { class: "word" }, label(OUTCOMES[o]))));
  const rows = REASON_ORDER.map((r) => {
    const name = words(DATA.reasons[r]);
    const bar = el("span", { class: "bar", style: { width: percent(sum(totals[r]) / most) } }, ...USED.filter((o) => totals[r][o]).map((o) => el("i", { class: `fill f-${OUTCOMES[o]}`, style: { "flex-grow": String(totals[r][o]) } })));
    return el("tr", {},
      el("th", { scope: "row" }, el("span", { class: "reason" }, label(name)), DATA.categories[r] && el("span", { class: "category" }, DATA.categories[r])),
      el("td", { class: "bars", "aria-hidden": "true" }, bar),
      ...USED.map((o) => el("td", { class: "n", "data-reason": DATA.reasons[r], "data-outcome": OUTCOMES[o] }, figure(totals[r][o], `${number(totals[r][o])} ${OUTCOMES[o]}, ${name}: show them`, { reason: r, outcomes: new Set([o]) }, `c-${OUTCOMES[o]}`))),
      el("td", { class: "n all" }, figure(sum(totals[r]), `${number(sum(totals[r]))} of ${name}: show them`, { reason: r })));
  });
  const foot = el("tr", {}, el("th", { scope: "row" }, "All"), el("td", { class: "bars", "aria-hidden": "true" }),
    ...USED.map((o) => el("td", { class: "n", "data-outcome": OUTCOMES[o] }, figure(ofOutcome[o], `${number(ofOutcome[o])} ${OUTCOMES[o]}: show them`, { outcomes: new Set([o]) }, `c-${OUTCOMES[o]}`))),
    el("td", { class: "n all" }, number(COUNT)));
  byId("totals").replaceChildren(
    el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Reason"), el("td", { class: "bars", "aria-hidden": "true" }), ...head, el("th", { scope: "col", class: "n all" }, "All"))),
    el("tbody", {}, ...rows), el("tfoot", {}, foot));
};

const drawRules = () => {
  const order = rules.map((rule, r) => [rule.skipped + rule.held, r]).filter(([all]) => all).sort((a, b) => b[0] - a[0]).map(([, r]) => r);
  const most = Math.max(1, ...order.map((r) => rules[r].skipped + rules[r].held));
  const kinds = [["skipped", OUTCOMES.indexOf("skipped")], ["held", HELD]];
  byId("rules").replaceChildren(
    el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Rule"), el("td", { class: "bars", "aria-hidden": "true" }), ...kinds.map(([name]) => el("th", { scope: "col", class: "n" }, icon(name), el("span", { class: "word" }, label(name)))))),
    el("tbody", {}, ...order.map((r) => el("tr", {},
      el("th", { scope: "row" }, el("code", {}, DATA.rules[r])),
      el("td", { class: "bars", "aria-hidden": "true" }, el("span", { class: "bar", style: { width: percent((rules[r].skipped + rules[r].held) / most) } }, ...kinds.filter(([name]) => rules[r][name]).map(([name]) => el("i", { class: `fill f-${name}`, style: { "flex-grow": String(rules[r][name]) } })))),
      ...kinds.map(([name, o]) => el("td", { class: "n", "data-rule": DATA.rules[r], "data-kind": name }, figure(rules[r][name], `${number(rules[r][name])} ${name} by ${DATA.rules[r]}: show them`, { rule: r, outcomes: new Set([o]) }, `c-${name}`)))))));
  byId("h-rules").hidden = !order.length;
  byId("rules").parentElement.hidden = !order.length;
};

const drawChanges = () => {
  if (!DATA.compare) return;
  byId("changes").hidden = false;
  byId("tab-changes").hidden = false;
  const settings = document.querySelector(".settings");
  byId("changes-grid").append(settings);
  settings.open = true;
  const { change, contact, first, second, messages } = DATA.compare;
  const reasonOf = (k) => (first[k] !== null ? M.reason[first[k]] : messages.reason[second[k]]);
  const counts = DATA.reasons.map(() => DATA.changes.map(() => 0));
  change.forEach((kind, k) => { counts[reasonOf(k)][kind] += 1; });
  const all = DATA.changes.map((_, kind) => sum(counts.map((row) => row[kind])));
  const of = (name) => all[DATA.changes.indexOf(name)];
  byId("changes-lead").textContent = change.length
    ? `${plural(of("gained"), "message")} gained, ${number(of("lost"))} lost, ${number(of("moved"))} sent at another time, ${number(of("other_outcome"))} not sent for another reason. ${plural(new Set(contact).size, "contact")} of ${number(C.key.length)} ${new Set(contact).size === 1 ? "changes" : "change"}.`
    : "Nothing changes.";
  const open = (text, wanted) => ({ text, wanted });
  const button = (value, { text, wanted }) => value ? el("button", { type: "button", class: "figure", "aria-label": text, onclick: () => { show(wanted); tabs.open("changes"); } }, number(value)) : el("span", { class: "zero" }, "0");
  const row = (name, values, wanted) => el("tr", {}, el("th", { scope: "row" }, name), ...values.map((value, kind) => el("td", { class: "n", "data-change": DATA.changes[kind] }, button(value, open(`${number(value)} ${words(DATA.changes[kind])}, ${name}: show them`, { ...wanted, change: kind })))));
  byId("changes-table").replaceChildren(
    el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Reason"), ...DATA.changes.map((name) => el("th", { scope: "col", class: "n" }, label(words(name)))))),
    el("tbody", {}, ...REASON_ORDER.filter((r) => sum(counts[r])).map((r) => row(label(words(DATA.reasons[r])), counts[r], { reason: r }))),
    el("tfoot", {}, row("All", all, {})));
};

// Filters.

const option = (value, text) => el("option", { value }, text);
const chips = new Map();
const makeFilters = () => {
  const held = sum([...M.held].map((flat) => (flat === 0 ? 0 : 1)));
  for (const o of [...USED, ...(held ? [HELD] : [])]) {
    const name = o === HELD ? "held" : OUTCOMES[o];
    const chip = el("button", { type: "button", class: `chip c-${name}`, "aria-pressed": "false", "data-outcome": name, onclick: () => {
      if (!filters.outcomes.delete(o)) filters.outcomes.add(o);
      syncFields();
      apply();
    } }, icon(name), el("span", {}, o === HELD ? "Was held" : label(name)), el("b", {}, number(o === HELD ? held : ofOutcome[o])));
    chips.set(o, chip);
    byId("chips").append(chip);
  }
  byId("f-reason").append(option("", "All reasons"), ...REASON_ORDER.map((r) => option(r, words(DATA.reasons[r]))));
  byId("f-rule").append(option("", "All rules"), ...DATA.rules.map((name, r) => [name, r]).sort().map(([name, r]) => option(r, name)));
  const days = new Map();
  for (const day of LOCAL_DAY) days.set(day, (days.get(day) ?? 0) + 1);
  byId("f-day").append(option("", "All days"), ...[...days].sort((a, b) => a[0] - b[0]).map(([day, count]) => option(day, `${dayText(dayOf(day), true)} (${number(count)})`)));
  for (const name of ["reason", "rule", "day"]) {
    byId(`f-${name}`).addEventListener("change", (event) => {
      filters[name] = event.target.value === "" ? null : Number(event.target.value);
      if (name === "day") zoomToDay();
      apply();
    });
  }
  let waiting;
  byId("f-contact").addEventListener("input", (event) => {
    clearTimeout(waiting);
    waiting = setTimeout(() => { filters.contact = event.target.value.trim(); apply(); }, 120);
  });
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("f-clear").addEventListener("click", () => {
    Object.assign(filters, { outcomes: new Set(), reason: null, rule: null, day: null, contact: "", change: null });
    syncFields();
    apply();
    byId("f-contact").focus();
  });
};
const syncFields = () => {
  for (const [o, chip] of chips) chip.setAttribute("aria-pressed", String(filters.outcomes.has(o)));
  for (const name of ["reason", "rule", "day"]) byId(`f-${name}`).value = filters[name] ?? "";
  byId("f-contact").value = filters.contact;
};

let selected = { messages: [], rows: [] };
const apply = () => {
  selected = select();
  shownNow = selected.shown;
  const changed = selectChanges();
  byId("count").textContent = `${number(selected.messages.length)} of ${plural(COUNT, "message")}, ${plural(selected.rows.length, "contact")}${DATA.compare ? `, ${plural(changed.length, "change")}` : ""}`;
  lists.contacts.set(selected.rows);
  lists.messages.set(selected.messages);
  lists.changes?.set(changed);
  charts.show(selected.messages);
};

// Tabs.

const tabs = {
  names: ["contacts", "messages", ...(DATA.compare ? ["changes"] : [])],
  open(name, focus = false) {
    for (const other of this.names) {
      const tab = byId(`tab-${other}`);
      tab.setAttribute("aria-selected", String(other === name));
      tab.tabIndex = other === name ? 0 : -1;
      byId(`view-${other}`).hidden = other !== name;
      if (other === name && focus) tab.focus();
    }
    byId("zoom").hidden = name !== "contacts";
    lists[name].redraw();
  },
  make() {
    for (const [k, name] of this.names.entries()) {
      const tab = byId(`tab-${name}`);
      tab.addEventListener("click", () => this.open(name));
      tab.addEventListener("keydown", (event) => {
        const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        if (step) this.open(this.names[(k + step + this.names.length) % this.names.length], true);
      });
    }
  },
};

// The time that the tracks show.

const SCALES = [["whole span", null], ["90 days", 90], ["30 days", 30], ["7 days", 7], ["2 days", 2]];
const zoomTo = (from, size) => {
  const [start, end] = [DATA.span[0], view.end];
  const wanted = Math.min(size ?? end - start, end - start);
  view.from = Math.max(start, Math.min(from, end - wanted));
  view.to = view.from + wanted;
  byId("z-back").disabled = view.from <= start;
  byId("z-next").disabled = view.to >= end;
  lists.contacts.redraw();
};
const zoomSize = () => (byId("z-scale").value === "" ? null : byId("z-scale").value * DAY);
const zoomToDay = () => {
  byId("z-scale").value = filters.day === null ? "" : byId("z-scale").querySelector('[value="7"]') ? "7" : "";
  zoomTo(filters.day === null ? 0 : (filters.day - 3) * DAY - DATA.base, zoomSize());
};
const makeZoom = () => {
  const whole = view.end - DATA.span[0];
  byId("z-scale").append(...SCALES.filter(([, days]) => days === null || days * DAY < whole).map(([name, days]) => option(days ?? "", name)));
  byId("z-scale").addEventListener("change", () => zoomTo(view.from, zoomSize()));
  byId("z-back").addEventListener("click", () => zoomTo(view.from - (view.to - view.from) / 2, zoomSize()));
  byId("z-next").addEventListener("click", () => zoomTo(view.from + (view.to - view.from) / 2, zoomSize()));
  zoomTo(DATA.span[0], null);
};

const makeLegend = () => {
  const key = (name, text) => el("span", {}, icon(name), text);
  const swatch = (name, text) => el("span", {}, el("i", { class: `swatch ${name}` }), text);
  byId("legend").append(swatch("open", "window open"), swatch("refused", "opted out"), swatch("hold", "held"), swatch("planned", "planned"), key("inbound", "contact wrote"), key("opted_out", "opt-out"));
};

lead();
drawTotals();
drawRules();
drawChanges();
makeFilters();
makeLegend();
charts.make((k) => {
  filters.day = filters.day === DAYS[k] ? null : DAYS[k];
  syncFields();
  zoomToDay();
  apply();
});
lists.make();
tabs.make();
makeZoom();
apply();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => charts.draw());
addEventListener("keydown", (event) => { if (event.key === "Escape") tip.hide(); });
document.documentElement.dataset.ready = "yes";
