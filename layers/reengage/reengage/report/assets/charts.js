// Bar charts by uPlot, each with its table. They show what the filters leave.

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

const LATENESS = [
  ["early", -Infinity, -60],
  ["on time", -60, 60],
  ["1–5 min", 60, 300],
  ["5–15 min", 300, 900],
  ["15–60 min", 900, 3600],
  ["1–4 h", 3600, 14400],
  ["4–12 h", 14400, 43200],
  ["12–24 h", 43200, DAY],
  ["1–3 days", DAY, 3 * DAY],
  ["> 3 days", 3 * DAY, Infinity],
];
const latenessBucket = (late) => LATENESS.findIndex(([, from, to]) => late >= from && late < to);

// Quiet hours such as 20:00-09:00, as spans of hours to shade; other forms are not shaded.
const quietSpans = () => {
  const text = DATA.settings.MarketingQuietHours ?? DATA.settings.UtilityQuietHours ?? "";
  const found = /^(\d\d):(\d\d)-(\d\d):(\d\d)$/.exec(text);
  if (!found) return [];
  const from = +found[1] + found[2] / 60;
  const to = +found[3] + found[4] / 60;
  return from < to ? [[from, to]] : [[from, 24], [0, to]];
};

class Bars {
  constructor(id, { height, tick, shade = [], names, noun, pick }) {
    this.figure = byId(id);
    this.plot = this.figure.querySelector(".plot");
    this.summary = this.figure.querySelector("figcaption span");
    this.table = this.figure.querySelector("table");
    Object.assign(this, { height, tick, shade, names, noun });
    this.values = names.map(() => 0);
    if (pick) this.plot.addEventListener("click", () => { if (this.chart.cursor.idx !== null) pick(this.chart.cursor.idx); });
    this.seen = new ResizeObserver(() => this.resize());
    this.seen.observe(this.plot);
  }

  options(width) {
    const ink = css("--muted");
    const line = css("--line");
    const font = '12px ui-sans-serif, system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif';
    return {
      width,
      height: this.height,
      legend: { show: false },
      cursor: { y: false, points: { show: false }, drag: { x: false, y: false } },
      padding: [12, 4, 0, 0],
      scales: {
        x: { time: false, range: () => [-0.6, this.names.length - 0.4] },
        y: { range: (_, __, most) => [0, Math.max(1, most * 1.08)] },
      },
      axes: [
        {
          stroke: ink, font, size: 28, gap: 6, grid: { show: false }, ticks: { show: false },
          splits: () => this.ticks(width), values: (_, splits) => splits.map((k) => this.tick(k)),
        },
        {
          stroke: ink, font, size: 46, gap: 6, grid: { stroke: line, width: 1 }, ticks: { show: false },
          incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000, 100000, 1000000],
          values: (_, splits) => splits.map(number),
        },
      ],
      series: [{}, { fill: css("--accent"), stroke: css("--accent"), width: 0, points: { show: false }, paths: uPlot.paths.bars({ size: [0.78, 42], radius: 0.08 }) }],
      hooks: {
        drawClear: [(chart) => this.drawShade(chart)],
        setCursor: [(chart) => this.point(chart)],
      },
    };
  }

  ticks(width) {
    const most = Math.max(2, Math.floor(width / this.tickWidth()));
    const step = [1, 2, 3, 4, 6, 7, 14, 28, 30, 60, 90, 180, 365].find((size) => this.names.length / size <= most) ?? 730;
    return this.names.map((_, k) => k).filter((k) => k % step === 0);
  }

  tickWidth() {
    return 7 * Math.max(...this.names.map((_, k) => this.tick(k).length)) + 10;
  }

  drawShade(chart) {
    const { ctx, bbox } = chart;
    ctx.save();
    ctx.fillStyle = css("--night");
    for (const [from, to] of this.shade) {
      const left = chart.valToPos(from - 0.5, "x", true);
      ctx.fillRect(left, bbox.top, chart.valToPos(to - 0.5, "x", true) - left, bbox.height);
    }
    ctx.restore();
  }

  point(chart) {
    const k = chart.cursor.idx;
    if (k === null || k === undefined || chart.cursor.left < 0) return tip.hide(this);
    const box = chart.over.getBoundingClientRect();
    return tip.show(this, box.left + chart.valToPos(k, "x"), box.top + chart.cursor.top, [
      el("strong", {}, this.names[k]), ` ${plural(this.values[k], this.noun)}`,
    ]);
  }

  set(values, summary) {
    this.values = values;
    this.summary.textContent = summary;
    if (this.chart) this.chart.setData([this.names.map((_, k) => k), values]);
    this.table.replaceChildren(
      el("thead", {}, el("tr", {}, el("th", { scope: "col" }, this.figure.querySelector("strong").textContent), el("th", { scope: "col" }, label(`${this.noun}s`)))),
      el("tbody", {}, ...values.map((value, k) => el("tr", {}, el("th", { scope: "row" }, this.names[k]), el("td", {}, number(value))))),
    );
  }

  draw() {
    this.chart?.destroy();
    const width = Math.max(200, this.plot.clientWidth);
    this.chart = new uPlot(this.options(width), [this.names.map((_, k) => k), this.values], this.plot);
    this.plot.setAttribute("role", "img");
    this.plot.setAttribute("aria-label", `Chart. ${this.figure.querySelector("figcaption").textContent}. The table below has its data.`);
  }

  resize() {
    if (this.chart && Math.abs(this.chart.width - this.plot.clientWidth) > 1) this.draw();
  }
}

// The days from the first send to the last; the first day of the span if nothing was sent.
const SENT_DAYS = { first: Infinity, last: -Infinity };
for (let i = 0; i < COUNT; i += 1) {
  if (!SENT.has(M.outcome[i])) continue;
  SENT_DAYS.first = Math.min(SENT_DAYS.first, LOCAL_DAY[i]);
  SENT_DAYS.last = Math.max(SENT_DAYS.last, LOCAL_DAY[i]);
}
if (SENT_DAYS.last < SENT_DAYS.first) SENT_DAYS.first = SENT_DAYS.last = localDay(DATA.span[0], 0);
const DAYS = Array.from({ length: SENT_DAYS.last - SENT_DAYS.first + 1 }, (_, k) => SENT_DAYS.first + k);

const charts = {
  make(pickDay) {
    const dated = (day) => { const date = dayOf(day); return `${date.getUTCDate()} ${MONTHS[date.getUTCMonth()]}`; };
    this.day = new Bars("fig-day", { height: 190, noun: "send", pick: pickDay, names: DAYS.map((day) => dayText(dayOf(day), true)), tick: (k) => dated(DAYS[k]) });
    this.hour = new Bars("fig-hour", { height: 190, noun: "send", shade: quietSpans(), names: Array.from({ length: 24 }, (_, hour) => `${two(hour)}:00`), tick: (k) => two(k) });
    this.late = new Bars("fig-late", { height: 190, noun: "send", names: LATENESS.map(([name]) => name), tick: (k) => LATENESS[k][0].replace(" min", "m").replace(" h", "h").replace(" days", "d") });
  },
  draw() {
    for (const chart of [this.day, this.hour, this.late]) chart.draw();
  },
  show(messages) {
    const days = DAYS.map(() => 0);
    const hours = Array(24).fill(0);
    const late = LATENESS.map(() => 0);
    let sent = 0;
    let unknown = 0;
    let heldBack = 0;
    for (const i of messages) {
      if (!SENT.has(M.outcome[i])) continue;
      sent += 1;
      days[LOCAL_DAY[i] - SENT_DAYS.first] += 1;
      if (M.hour[i] === null) unknown += 1;
      else hours[M.hour[i]] += 1;
      if (M.late[i] === null) continue;
      late[latenessBucket(M.late[i])] += 1;
      if (M.late[i] >= 60 && M.held[i] !== 0) heldBack += 1;
    }
    const most = (values, names) => (sent ? `most ${names[values.indexOf(Math.max(...values))]}` : "no sends");
    this.day.set(days, sent ? `${plural(sent, "send")}, ${most(days, this.day.names)}` : "no sends");
    const night = this.hour.shade.length ? ", quiet hours shaded" : "";
    this.hour.set(hours, sent > unknown ? `${most(hours, this.hour.names)}${unknown ? `, ${number(unknown)} without zone` : ""}${night}` : "no sends");
    const later = sum(late.slice(2)) - heldBack;
    this.late.set(late, sent ? `${number(late[1])} on time, ${number(heldBack)} later by a hold, ${number(later)} without` : "no sends");
    this.draw();
  },
};
