// Lists that draw only the rows in sight, as grids that the keyboard walks through.

class List {
  // `row(item, index)` returns the row's cells; `height()` is a row's height in px.
  constructor(box, { name, head, row, height, empty }) {
    Object.assign(this, { box, row, height, items: [], drawn: new Map(), active: 0, cell: 0 });
    this.head = head;
    this.headRow = el("div", { role: "row", class: "head" });
    this.body = el("div", { role: "rowgroup", class: "body" });
    this.grid = el("div", { role: "grid", class: "grid", "aria-label": name }, el("div", { role: "rowgroup", class: "headgroup" }, this.headRow), this.body);
    this.none = el("p", { class: "empty", hidden: true }, empty);
    box.replaceChildren(this.grid, this.none);
    this.grid.addEventListener("scroll", () => this.later(), { passive: true });
    this.grid.addEventListener("keydown", (event) => this.key(event));
    this.grid.addEventListener("focusin", (event) => this.focused(event));
    new ResizeObserver(() => { if (box.clientWidth !== this.width) this.redraw(); }).observe(box);
  }

  set(items, keep = false) {
    this.items = items;
    if (!keep) {
      this.active = 0;
      this.cell = 0;
      this.grid.scrollTop = 0;
    }
    this.redraw();
  }

  redraw() {
    this.width = this.box.clientWidth;
    if (!this.width) return; // hidden: drawn when its tab is shown
    this.clear();
    this.size = this.height();
    this.headRow.replaceChildren(...this.head(this.width));
    this.grid.hidden = !this.items.length;
    this.none.hidden = this.items.length > 0;
    this.grid.setAttribute("aria-rowcount", this.items.length + 1);
    this.headRow.setAttribute("aria-rowindex", 1);
    this.body.style.height = `${this.items.length * this.size}px`;
    this.draw();
  }

  clear() {
    for (const made of this.drawn.values()) made.remove();
    this.drawn.clear();
  }

  later() {
    tip.hide();
    this.waiting ??= requestAnimationFrame(() => {
      this.waiting = undefined;
      this.draw();
    });
  }

  draw() {
    const above = 6;
    const from = Math.max(0, Math.floor(this.grid.scrollTop / this.size) - above);
    const to = Math.min(this.items.length, Math.ceil((this.grid.scrollTop + this.grid.clientHeight) / this.size) + above);
    for (const [k, made] of this.drawn) {
      if ((k < from || k >= to) && k !== this.active) {
        made.remove();
        this.drawn.delete(k);
      }
    }
    for (let k = from; k < to; k += 1) this.drawRow(k);
    if (this.active < this.items.length) this.drawRow(this.active); // the row with the focus is never taken away
  }

  drawRow(k) {
    if (this.drawn.has(k)) return;
    const made = el("div", { role: "row", class: `row${k % 2 ? " odd" : ""}`, "aria-rowindex": k + 2, style: { top: `${k * this.size}px`, height: `${this.size}px` } }, ...this.row(this.items[k], this.width));
    made.dataset.row = k;
    this.drawn.set(k, made);
    const after = [...this.body.children].find((other) => Number(other.dataset.row) > k) ?? null;
    this.body.insertBefore(made, after);
    if (k === this.active) this.cells(k)[Math.min(this.cell, this.cells(k).length - 1)].tabIndex = 0;
  }

  cells(k) {
    return [...this.drawn.get(k).querySelectorAll('[role="gridcell"], [role="rowheader"]')];
  }

  focused(event) {
    const row = event.target.closest(".row");
    if (!row) return;
    this.move(Number(row.dataset.row), this.cells(Number(row.dataset.row)).indexOf(event.target));
  }

  move(k, cell) {
    const old = this.drawn.get(this.active);
    if (old) for (const other of this.cells(this.active)) other.tabIndex = -1;
    this.active = Math.min(Math.max(0, k), this.items.length - 1);
    this.drawRow(this.active);
    const cells = this.cells(this.active);
    this.cell = Math.min(Math.max(0, cell), cells.length - 1);
    cells[this.cell].tabIndex = 0;
    return cells[this.cell];
  }

  go(k, cell) {
    const target = this.move(k, cell);
    const top = this.active * this.size;
    const room = this.grid.clientHeight - this.headRow.offsetHeight - this.size;
    if (top < this.grid.scrollTop) this.grid.scrollTop = top;
    else if (top > this.grid.scrollTop + room) this.grid.scrollTop = top - room;
    target.focus({ preventScroll: true });
    this.draw();
  }

  key(event) {
    const page = Math.max(1, Math.floor(this.grid.clientHeight / this.size) - 1);
    const moves = {
      ArrowDown: [1, 0], ArrowUp: [-1, 0], PageDown: [page, 0], PageUp: [-page, 0], ArrowRight: [0, 1], ArrowLeft: [0, -1],
      Home: event.ctrlKey ? [-Infinity, 0] : [0, -Infinity], End: event.ctrlKey ? [Infinity, 0] : [0, Infinity],
    };
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      event.target.click();
    } else if (event.key in moves) {
      event.preventDefault();
      const [rows, cells] = moves[event.key];
      this.go(Math.min(this.items.length - 1, Math.max(0, this.active + rows)), Math.max(0, this.cell + cells));
    }
  }
}

const cell = (name, open, ...children) => el("div", { role: "gridcell", class: name, tabindex: "-1", onclick: open }, ...children);
const headCell = (name, text) => el("div", { role: "columnheader", class: name }, text);
const isNarrow = () => matchMedia("(max-width: 720px)").matches;

const who = (c) => [el("span", { class: "who" }, nameOf(c)), el("span", { class: "where" }, C.name[c] ? C.key[c].split("/").slice(1).join(" ") : `${C.key[c].split("/")[1]}, ${C.key[c].split("/")[0]}`)];
const outcomeLabel = (columns, i) => {
  const name = OUTCOMES[columns.outcome[i]];
  return el("span", { class: `outcome c-${name}` }, icon(name), label(name));
};

let shownNow = null; // which messages the filters leave, for the tracks

const trackWidth = (width) => (isNarrow() ? width - 32 : width - 278);
const lists = {
  make() {
    this.contacts = new List(byId("list-contacts"), {
      name: "Timelines of contacts",
      empty: "No contact matches the filters.",
      height: () => (isNarrow() ? 92 : 66),
      head: (width) => [headCell("name", "Contact"), el("div", { role: "columnheader", class: "track" }, el("span", { class: "sr" }, "Events in order of time"), axisElement(view.from, view.to, trackWidth(width)))],
      row: (c, width) => {
        const room = trackWidth(width);
        const open = (event) => openDetail(c, event.message);
        const count = START[c + 1] - START[c];
        const marks = clustered(eventsOf(c, shownNow), view.from, view.to, room).map((mark) => markElement(mark, room, open));
        return [
          el("div", { role: "rowheader", class: "name", tabindex: "-1", onclick: () => openDetail(c), "aria-label": `${nameOf(c)}, ${C.key[c]}, ${zoneText(c)}, ${plural(count, "message")}` },
            el("span", { class: "who" }, nameOf(c)),
            el("span", { class: "where" }, `${C.key[c].split("/").slice(0, 2).join(", ")}, ${placeText(c)}`)),
          el("div", { class: "track", role: "presentation" }, ...bandsOf(c, view.from, view.to, shownNow), ...marks),
        ];
      },
    });
    this.messages = new List(byId("list-messages"), {
      name: "Messages",
      empty: "No message matches the filters.",
      height: () => (isNarrow() ? 84 : 46),
      head: () => [headCell("time", "Local time"), headCell("contact", "Contact"), headCell("reason", "Reason"), headCell("result", "Outcome"), headCell("why", "Rule"), headCell("late", "Lateness"), headCell("text", "Text")],
      row: (i) => {
        const open = () => openDetail(M.contact[i], i);
        const held = [...new Set(holdsOf(M, i).map((hold) => DATA.rules[hold.rule]))];
        const why = M.rule[i] !== null ? ruleText(M, i) : held.length ? `held: ${held.join(", ")}` : "";
        const made = [
          cell("time", open, momentText(WHEN[i], M.offset[i])),
          cell("contact", open, ...who(M.contact[i])),
          cell("reason", open, words(DATA.reasons[M.reason[i]])),
          cell("result", open, outcomeLabel(M, i)),
          cell("why", open, why),
          cell("late", open, lateText(M.late[i])),
          cell("text", open, M.text[i] === null ? "" : T[M.text[i]]),
        ];
        made[0].addEventListener("focus", () => {
          const box = made[0].getBoundingClientRect();
          tip.show(made[0], box.left + 120, box.top, [el("strong", {}, describe(M, i)), el("dl", {}, ...factRows(M, i).slice(0, -1))]);
        });
        made[0].addEventListener("blur", () => tip.hide(made[0]));
        return made;
      },
    });
    if (DATA.compare) {
      const second = DATA.compare.messages;
      const ending = (columns, i) => {
        if (i === null) return ["not planned"];
        const rule = columns.rule[i] === null ? "" : ruleText(columns, i);
        return [outcomeLabel(columns, i), el("span", { class: "where" }, [rule, momentText(momentOf(columns, i), columns.offset[i])].filter(Boolean).join(", "))];
      };
      this.changes = new List(byId("list-changes"), {
        name: "Messages that change",
        empty: "No change matches the filters.",
        height: () => (isNarrow() ? 132 : 58),
        head: () => [headCell("change", "Change"), headCell("contact", "Contact"), headCell("reason", "Reason"), headCell("before", "This run"), headCell("after", DATA.compare.title)],
        row: (k) => {
          const { change, contact, first, second: after } = DATA.compare;
          const open = () => openDetail(contact[k], first[k] ?? undefined);
          const reason = first[k] !== null ? M.reason[first[k]] : second.reason[after[k]];
          return [
            cell("change", open, label(words(DATA.changes[change[k]]))),
            cell("contact", open, ...who(contact[k])),
            cell("reason", open, words(DATA.reasons[reason])),
            cell("before", open, ...ending(M, first[k])),
            cell("after", open, ...ending(second, after[k])),
          ];
        },
      });
    }
  },
};
