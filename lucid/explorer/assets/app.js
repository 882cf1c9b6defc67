// The page: panes in two rows, what is pointed at and pinned, search, keys, themes.

const UPPER = ["source", "drawing", "costs", "graph", "simplified"];
const LOWER = ["kernel", "loop", "llvm", "asm", "ptx"];
const HIDDEN = ["graph", "simplified"]; // at first
const WAIT = 160; // milliseconds until other panes follow

class App {
  constructor(model) {
    this.model = model;
    this.pinned = null;
    this.pointed = null;
    this.found = [];
    this.at = null;
    const on = {
      point: (target) => this.point(target),
      leave: () => this.point(null),
      pin: (target) => this.pin(target),
      again: () => this.show(),
      about: (kernel) => this.about(kernel),
    };
    this.panes = new Map(model.texts.map((text) => [text.id, new TextPane(text, model, on)]));
    this.drawing = new Drawing(model, on);
    this.panes.set("drawing", this.drawing);
    this.costs = new Costs(model, on, (kernel) => this.about(kernel));
    this.panes.set("costs", this.costs);
    this.chips = new Map();
    document.body.append(this.header(), this.main(), this.footer());
    this.theme();
    this.keys();
    this.drawing.draw();
    this.drawing.fit();
    for (const { id } of model.texts) this.panes.get(id).begin();
    document.documentElement.dataset.ready = "yes";
  }

  header() {
    const made = element("header", "top");
    const { kernels, nodes, target, name, data } = this.model;
    const total = kernels.reduce((sum, kernel) => sum + kernel.bytes, 0);
    const facts = [several(kernels.length, "kernel"), several(nodes.length, "node"), `${bytes(total)} moved`];
    if (data.libraries.length) facts.splice(1, 0, several(data.libraries.length, "library call"));
    const spent = data.times.reduce((sum, time) => sum + time.seconds, 0);
    if (data.times.length) facts.push(`${seconds(spent)} in ${data.libraries.length ? "these" : "kernels"}`);
    const title = element("h1", "", name);
    const told = element("span", "facts", [...facts, target].filter(Boolean).join(" · "));
    this.field = element("input");
    this.field.type = "search";
    this.field.placeholder = "Search all panes";
    this.field.setAttribute("aria-label", "search all panes");
    this.matches = element("span", "matches");
    const search = element("label", "search");
    search.append(this.field, this.matches, element("kbd", "", "/"));
    const chips = element("nav", "chips");
    for (const id of [...UPPER, ...LOWER]) {
      if (!this.panes.has(id)) continue;
      const chip = element("button", "chip", this.title(id));
      chip.setAttribute("aria-pressed", String(!HIDDEN.includes(id)));
      chip.addEventListener("click", () => this.toggle(id));
      this.chips.set(id, chip);
      chips.append(chip);
    }
    this.switch = element("button", "icon");
    this.switch.addEventListener("click", () => this.turn());
    const help = element("button", "icon", "?");
    help.title = "keys (?)";
    help.addEventListener("click", () => this.help.showModal());
    const first = element("div", "line");
    first.append(element("span", "mark", "lucid"), title, told, search, this.switch, help);
    made.append(first, chips);
    let waiting = 0;
    this.field.addEventListener("input", () => {
      clearTimeout(waiting);
      waiting = setTimeout(() => this.search(), 120);
    });
    this.field.addEventListener("keydown", (event) => {
      if (event.key === "Enter") {
        clearTimeout(waiting);
        if (this.word !== this.field.value.trim()) this.search();
        this.next(event.shiftKey ? -1 : 1);
        event.preventDefault();
      } else if (event.key === "Escape") {
        this.field.value = "";
        this.search();
        this.field.blur();
      }
      event.stopPropagation();
    });
    return made;
  }

  title(id) {
    return { drawing: "Graph", costs: "Costs" }[id] || this.panes.get(id).text.title;
  }

  main() {
    const made = element("main");
    this.rows = [UPPER, LOWER].map((ids) => {
      const row = element("div", "panes");
      for (const id of ids) {
        if (!this.panes.has(id)) continue;
        const pane = this.panes.get(id).element;
        pane.classList.toggle("off", HIDDEN.includes(id));
        pane.querySelector("header").addEventListener("dblclick", (event) => {
          if (!event.target.closest("button")) this.alone(id);
        });
        row.append(pane);
        row.append(this.splitter("x"));
      }
      row.lastChild.remove();
      return row;
    });
    made.append(this.rows[0], this.splitter("y"), this.rows[1]);
    return made;
  }

  // What drags the border between what is before and what is behind it.
  splitter(axis) {
    const made = element("div", `splitter ${axis}`);
    made.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      made.setPointerCapture(event.pointerId);
      const seen = (one, step) => {
        let at = one[step];
        while (at && (at.classList.contains("off") || at.classList.contains("splitter"))) at = at[step];
        return at;
      };
      const pair = [seen(made, "previousElementSibling"), seen(made, "nextElementSibling")];
      if (!pair[0] || !pair[1]) return;
      const size = axis === "x" ? "offsetWidth" : "offsetHeight";
      const [a, b] = pair.map((one) => one[size]);
      const grow = pair.map((one) => Number(getComputedStyle(one).flexGrow));
      const begin = axis === "x" ? event.clientX : event.clientY;
      const move = (to) => {
        const by = Math.max(60 - a, Math.min(b - 60, (axis === "x" ? to.clientX : to.clientY) - begin));
        const all = grow[0] + grow[1];
        pair[0].style.flexGrow = (all * (a + by)) / (a + b);
        pair[1].style.flexGrow = (all * (b - by)) / (a + b);
      };
      made.addEventListener("pointermove", move);
      made.addEventListener("pointerup", () => made.removeEventListener("pointermove", move), { once: true });
    });
    return made;
  }

  footer() {
    const made = element("footer");
    this.status = element("span", "status");
    this.hint = element("span", "hint", "click to pin, esc to let go, ? for keys");
    made.append(this.status, this.hint);
    this.help = element("dialog");
    const list = element("dl");
    for (const [keys, what] of KEYS) list.append(element("dt", "", keys), element("dd", "", what));
    const close = element("button", "small", "close");
    close.addEventListener("click", () => this.help.close());
    this.help.append(element("h2", "", "Keys"), list, close);
    made.append(this.help);
    return made;
  }

  toggle(id) {
    const pane = this.panes.get(id).element;
    const off = pane.classList.toggle("off");
    this.chips.get(id).setAttribute("aria-pressed", String(!off));
    for (const row of this.rows) row.classList.toggle("off", !row.querySelector(".pane:not(.off)"));
    if (id === "drawing" && !off) this.drawing.view();
  }

  // One pane alone, or all again.
  alone(id) {
    const main = this.rows[0].parentElement;
    const pane = this.panes.get(id).element;
    const was = pane.classList.contains("alone");
    for (const one of this.panes.values()) one.element.classList.remove("alone");
    for (const row of this.rows) row.classList.remove("alone");
    main.classList.toggle("one", !was);
    if (!was) {
      pane.classList.add("alone");
      pane.parentElement.classList.add("alone");
    }
    if (id === "drawing") this.drawing.fit();
  }

  // --- light

  point(target) {
    if (same(target, this.pointed)) return;
    this.pointed = target;
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      this.show();
      clearTimeout(this.following);
      if (this.pointed && !this.pinned) this.following = setTimeout(() => this.follow(this.pointed), WAIT);
    });
  }

  pin(target) {
    this.pinned = target && !same(target, this.pinned) ? target : null;
    document.body.classList.toggle("pinned", !!this.pinned);
    this.show();
    if (this.pinned) this.follow(this.pinned);
  }

  show() {
    const target = this.pinned || this.pointed;
    for (const [id, pane] of this.panes) {
      if (id === "drawing" || id === "costs") pane.show(target);
      else pane.show(target ? this.model.lit(target, pane.text) : { strong: new Set(), weak: new Set() });
    }
    this.status.textContent = this.words(this.pointed || this.pinned);
  }

  follow(target) {
    for (const [id, pane] of this.panes) {
      if (!target || (target.text && target.text.id === id) || pane.element.matches(":hover")) continue;
      pane.follow();
    }
  }

  // What is pointed at, in a line.
  words(target) {
    if (!target) return "";
    const { model } = this;
    const places = [...target.places];
    const names = target.kernels ? [...target.kernels].map((k) => model.kernels[k].name) : [];
    const parts = places.slice(0, 2).map((place) => model.told(place));
    if (places.length > 2) parts.push(`${places.length - 2} more lines`);
    if (names.length) parts.push(`${names.length > 1 ? "kernels" : "kernel"} ${names.slice(0, 3).join(", ")}${names.length > 3 ? ", …" : ""}`);
    return parts.join("  ·  ");
  }

  // A kernel in a few lines.
  about(id) {
    const kernel = this.model.kernels[id];
    const time = kernel.time ? `, ${seconds(kernel.time.seconds)} (at least ${seconds(kernel.time.limit)}, by ${kernel.time.bound})` : "";
    const intensity = kernel.flops ? `, ${count(kernel.flops)} flops, ${kernel.intensity.toPrecision(2)} a byte` : "";
    return [
      kernel.name,
      `${count(kernel.bytes)} bytes${intensity}${time}`,
      `${kernel.mode}, ${kernel.lanes} lanes; ${count(kernel.blocks)} blocks on ${kernel.threads} threads`,
      ...(kernel.modules.length ? [`in ${kernel.modules.join(", ")}`] : []),
      ...kernel.reasons.slice(0, 6),
    ];
  }

  // --- search

  search() {
    this.word = this.field.value.trim();
    this.found = [];
    this.at = null; // the one that is looked at
    const word = this.word.toLowerCase();
    for (const [id, chip] of this.chips) {
      const pane = this.panes.get(id);
      const own = word ? pane.search(word) : [];
      pane.find(own, null);
      for (const one of own) this.found.push([id, one]);
      chip.dataset.count = own.length ? count(own.length) : "";
    }
    this.matches.textContent = this.word ? `${count(this.found.length)} found` : "";
  }

  next(step) {
    if (!this.found.length) return;
    const shown = this.found.filter(([id]) => !this.off(id));
    const among = shown.length ? shown : this.found; // those of hidden panes, if there are no others
    const last = among.indexOf(this.at);
    const at = last < 0 ? (step > 0 ? 0 : among.length - 1) : (last + step + among.length) % among.length;
    if (this.at) this.panes.get(this.at[0]).find(this.panes.get(this.at[0]).hits, null);
    this.at = among[at];
    const [id, one] = this.at;
    if (this.off(id)) this.toggle(id);
    const pane = this.panes.get(id);
    pane.find(pane.hits, one);
    pane.reveal(one);
    this.matches.textContent = `${count(at + 1)} of ${count(among.length)}`;
    this.pinned = null;
    this.pin(pane.aim(one));
  }

  off(id) {
    return this.panes.get(id).element.classList.contains("off");
  }

  // --- keys

  keys() {
    document.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || this.help.open) return;
      const pane = [...this.panes.values()].find((one) => one.element.contains(document.activeElement));
      const act = {
        "/": () => this.field.focus(),
        "?": () => this.help.showModal(),
        Escape: () => this.pin(null),
        n: () => this.next(1),
        N: () => this.next(-1),
        "]": () => this.step(1),
        "[": () => this.step(-1),
        j: () => this.line(pane, 1),
        k: () => this.line(pane, -1),
        ArrowDown: () => this.line(pane, 1),
        ArrowUp: () => this.line(pane, -1),
        t: () => this.turn(),
        o: () => this.drawing.openAll(this.drawing.open.size < this.drawing.boxes.length),
        "+": () => this.drawing.scale(1.25),
        "=": () => this.drawing.scale(1.25),
        "-": () => this.drawing.scale(0.8),
        0: () => this.drawing.fit(),
        m: () => pane && this.alone(pane.element.dataset.pane),
      }[event.key];
      const chip = /^[1-9]$/.test(event.key) && [...this.chips.keys()][Number(event.key) - 1];
      if (act) act();
      else if (chip) this.toggle(chip);
      else return;
      event.preventDefault();
    });
  }

  // The next kernel.
  step(by) {
    const { kernels } = this.model;
    if (!kernels.length) return;
    const now = this.pinned && this.pinned.whole && this.pinned.kernels ? [...this.pinned.kernels][0] : by > 0 ? -1 : 0;
    this.pinned = null;
    this.pin(this.model.atKernel((now + by + kernels.length) % kernels.length));
  }

  // The next line of the pane that has the focus, or of the source.
  line(pane, by) {
    const of = pane && pane.text ? pane : this.panes.get("source");
    const { text } = of;
    const [first] = of.inSight();
    let row = this.pinned && this.pinned.text === text ? this.pinned.row + by : first;
    while (row > 0 && row < text.lines.length - 1 && this.model.hue(text, row) === null) row += by;
    if (row < 0 || row >= text.lines.length) return;
    this.pinned = null;
    this.pin(this.model.atRow(text, row));
    const [from, to] = of.inSight();
    if (row < from + 1 || row >= to - 1) of.reveal(row);
  }

  // --- themes

  theme() {
    this.system = window.matchMedia("(prefers-color-scheme: dark)");
    this.system.addEventListener("change", () => this.paint());
    this.paint();
  }

  turn() {
    this.chosen = this.dark() ? "light" : "dark";
    this.paint();
  }

  dark() {
    return this.chosen ? this.chosen === "dark" : this.system.matches;
  }

  paint() {
    document.documentElement.dataset.theme = this.dark() ? "dark" : "light";
    this.switch.textContent = this.dark() ? "☀" : "☾";
    this.switch.title = `${this.dark() ? "light" : "dark"} (t)`;
    for (const pane of this.panes.values()) if (pane.drawRuler) pane.drawRuler();
  }
}

const KEYS = [
  ["/", "search; Enter, n and N go on to the next and the one before"],
  ["esc", "let go of what is pinned"],
  ["j k, ↓ ↑", "the next line of the pane that has the focus, or of the source"],
  ["[ ]", "the kernel before, the next one"],
  ["tab", "the next pane"],
  ["m", "this pane alone (or a double click on its title)"],
  ["1 … 9", "show or hide a pane"],
  ["o", "open or close all kernels of the graph (one: a double click)"],
  ["+ - 0", "larger, smaller, the whole graph or as much as can be read"],
  ["t", "light or dark"],
];

function same(a, b) {
  if (!a || !b) return a === b;
  const kernels = (one) => (one.kernels ? [...one.kernels].join() : "");
  return a.text === b.text && a.row === b.row && a.node === b.node && a.array === b.array && a.whole === b.whole && kernels(a) === kernels(b);
}

// Bars: what each kernel moves, and how long it takes.
class Costs {
  constructor(model, on, about) {
    this.model = model;
    this.element = element("section", "pane costs");
    this.element.dataset.pane = "costs";
    const timed = model.data.times.length > 0;
    const head = element("header");
    this.order = element("button", "small", "");
    this.order.addEventListener("click", () => this.sort(!this.sorted));
    head.append(element("h2", "", "Costs"), element("span", "about", timed ? "bytes, time" : "bytes"), this.order);
    this.list = element("div", "body list");
    this.list.tabIndex = 0;
    this.list.setAttribute("role", "region");
    this.list.setAttribute("aria-label", "costs");
    this.element.append(head, this.list);
    // Calls of libraries stand among the kernels, as they run.
    this.items = model.kernels.flatMap((kernel) => [...model.librariesBefore(kernel.id), kernel]);
    this.items.push(...model.librariesBefore(model.kernels.length));
    const most = Math.max(1, ...this.items.map((item) => item.bytes));
    const longest = Math.max(1e-12, ...model.data.times.map((time) => time.seconds));
    const told = (item) => (item.way === "library" ? item.told : about(item.id).join("\n"));
    this.rows = this.items.map((item, k) => {
      const row = element("div", `cost ${item.way}`);
      row.append(shortened(item.name), bar(item.bytes / most, bytes(item.bytes), "bytes"));
      if (timed) {
        const time = item.time && this.items.find((one) => one.unit === item.unit) === item ? item.time : null;
        row.append(bar(time ? time.seconds / longest : 0, time ? seconds(time.seconds) : "with the above", "time", time ? time.limit / longest : 0));
      }
      row.title = told(item);
      row.addEventListener("mouseenter", () => on.point(this.aim(k)));
      row.addEventListener("click", () => on.pin(this.aim(k)));
      return row;
    });
    this.words = this.items.map((item) => told(item).toLowerCase());
    this.hits = [];
    this.list.addEventListener("mouseleave", () => on.leave());
    this.list.classList.toggle("timed", timed);
    this.sort(false);
  }

  // --- search: rows, by what is told of them

  search(word) {
    return [...this.items.keys()].filter((k) => this.words[k].includes(word));
  }

  find(hits, current) {
    this.hits = hits;
    const all = new Set(hits);
    this.rows.forEach((row, k) => {
      row.classList.toggle("hit", all.has(k));
      row.classList.toggle("current", k === current);
    });
  }

  reveal(k) {
    this.list.scrollTop = this.rows[k].offsetTop - this.list.clientHeight / 3;
  }

  aim(k) {
    const item = this.items[k];
    return item.way === "library" ? this.model.atNode(item.nodes[0]) : this.model.atKernel(item.id);
  }

  sort(sorted) {
    this.sorted = sorted;
    this.order.textContent = sorted ? "in order" : "largest first"; // what a click does
    const cost = (k) => (this.items[k].time ? this.items[k].time.seconds : this.items[k].bytes);
    const order = [...this.items.keys()];
    if (sorted) order.sort((a, b) => cost(b) - cost(a));
    this.list.replaceChildren(...order.map((k) => this.rows[k]));
  }

  show(target) {
    this.first = null;
    this.items.forEach((item, k) => {
      const lit = !!target && !target.array && this.model.litItem(target, item);
      this.rows[k].classList.toggle("strong", lit);
      if (lit && !this.first) this.first = this.rows[k];
    });
  }

  follow() {
    const { list } = this;
    const seen = (row) => row.offsetTop >= list.scrollTop && row.offsetTop < list.scrollTop + list.clientHeight - 20;
    const lit = this.rows.filter((row) => row.classList.contains("strong"));
    if (lit.length && !lit.some(seen)) list.scrollTop = lit[0].offsetTop - list.clientHeight / 3;
  }
}

// A name that keeps its end where there is no room for all of it: that is what tells kernels apart.
function shortened(name) {
  const made = element("span", "name");
  const at = Math.max(0, name.length - 11);
  made.append(element("span", "begin", name.slice(0, at)), element("span", "end", name.slice(at)));
  return made;
}

function bar(part, text, kind, limit = 0) {
  const made = element("span", `bar ${kind}`);
  const fill = element("i");
  fill.style.width = `${Math.max(0.5, part * 100)}%`;
  made.append(fill);
  if (limit) {
    const mark = element("b");
    mark.style.left = `${Math.min(100, limit * 100)}%`;
    made.append(mark);
  }
  made.append(element("em", "", text));
  return made;
}

unpacked(document.getElementById("data").textContent).then(
  (data) => (window.explorer = new App(new Model(data))), // for those who look with the browser's tools
  (error) => document.body.append(element("p", "failed", `The data of this page cannot be read (${error}). It needs a browser of 2023 or later.`)),
);
