// A pane of text: only the rows that are in sight are in the page, so that a hundred thousand of them stay fluid.

const ROW = 18; // pixels, as in the style
const CHARACTER = 7.23;
const AROUND = 12; // rows beyond what is in sight

const WORDS = {
  source: "False None True and as assert async await break class continue def del elif else except finally for from " +
    "global if import in is lambda nonlocal not or pass raise return try while with yield self",
  kernel: "kernel for in stage finally where sum max min dot scan sort first falling pick at size",
  loop: "func for load store alloc window yield step mask stream splat prefetch aligned parallel serial vector",
  llvm: "define declare ret br label call load store getelementptr phi icmp fcmp select fadd fsub fmul fdiv add sub " +
    "mul and or xor shl lshr sext zext trunc bitcast shufflevector insertelement extractelement align target triple " +
    "attributes inbounds nuw nsw ptr float double i1 i8 i32 i64",
  asm: "",
  graph: "graph",
};
WORDS.simplified = WORDS.graph;
WORDS.ptx = WORDS.asm;

// Parts of a line: what the style knows as comments, strings, names of values, numbers and words.
function lexer(id) {
  const words = WORDS[id] ? WORDS[id].split(" ").join("|") : "(?!)";
  const comment = { source: "#.*", llvm: ";.*", asm: "(?:#|//).*", ptx: "//.*" }[id] || "#.*";
  const first = id === "asm" || id === "ptx" ? "^\\s+[a-z][\\w.]*" : `\\b(?:${words})\\b(?!\\s*=[^=])`;
  return new RegExp(
    `(${comment})|("(?:[^"\\\\]|\\\\.)*"|'(?:[^'\\\\]|\\\\.)*')|([%@$!][\\w.]+)|` +
      `(\\b(?:0x[0-9a-fA-F]+|\\d+(?:\\.\\d*)?(?:e[+-]?\\d+)?)\\b)|(${first})`,
    "g",
  );
}
const KINDS = ["comment", "string", "value", "number", "word"];

class TextPane {
  constructor(text, model, on) {
    this.text = text;
    this.model = model;
    this.lexer = lexer(text.id);
    this.light = { strong: new Set(), weak: new Set() };
    this.hits = new Set();
    this.current = -1; // the row of the hit that is being looked at
    this.element = element("section", "pane text");
    this.element.dataset.pane = text.id;
    this.head = element("header");
    this.title = element("h2", "", text.title);
    this.about = element("span", "about");
    this.count = element("span", "count");
    this.head.append(this.title, this.about, this.count);
    this.body = element("div", "body");
    this.scroll = element("div", "scroll");
    this.scroll.tabIndex = 0;
    this.scroll.setAttribute("role", "region");
    this.scroll.setAttribute("aria-label", text.title);
    this.all = element("div", "all");
    const digits = String(text.numbers ? Math.max(0, ...text.numbers) : 0).length;
    this.gutter = text.numbers ? digits * CHARACTER + 26 : 18;
    this.all.style.height = `${text.lines.length * ROW}px`;
    this.all.style.minWidth = `${Math.min(text.widest, 600) * CHARACTER + this.gutter + 24}px`;
    this.ruler = element("canvas", "ruler");
    this.scroll.append(this.all);
    this.body.append(this.scroll, this.ruler);
    this.element.append(this.head, this.body);
    this.rows = new Map();
    this.scroll.addEventListener("scroll", () => this.soon());
    this.scroll.addEventListener("mousemove", (event) => on.point(this.at(event)));
    this.scroll.addEventListener("mouseleave", () => on.leave());
    this.scroll.addEventListener("click", (event) => {
      if (!String(window.getSelection())) on.pin(this.at(event));
    });
    new ResizeObserver(() => {
      this.draw();
      this.drawRuler();
    }).observe(this.scroll);
    this.ruler.addEventListener("click", (event) => {
      const part = (event.clientY - this.ruler.getBoundingClientRect().top) / this.ruler.clientHeight;
      this.reveal(Math.round(part * this.text.lines.length));
    });
  }

  // What is pointed at, if there is a row.
  at(event) {
    const row = Math.floor((event.clientY - this.all.getBoundingClientRect().top) / ROW);
    return row >= 0 && row < this.text.lines.length ? this.model.atRow(this.text, row) : null;
  }

  soon() {
    if (this.waiting) return;
    this.waiting = requestAnimationFrame(() => {
      this.waiting = 0;
      this.draw();
    });
  }

  inSight() {
    const first = Math.floor(this.scroll.scrollTop / ROW);
    return [first, first + Math.ceil(this.scroll.clientHeight / ROW)];
  }

  draw() {
    const [first, last] = this.inSight();
    const begin = Math.max(0, first - AROUND);
    const end = Math.min(this.text.lines.length, last + AROUND);
    for (const [row, made] of this.rows) {
      if (row < begin || row >= end) {
        made.remove();
        this.rows.delete(row);
      }
    }
    const fresh = document.createDocumentFragment();
    for (let row = begin; row < end; row++) {
      if (this.rows.has(row)) continue;
      const made = this.row(row);
      this.rows.set(row, made);
      fresh.append(made);
    }
    this.all.append(fresh);
    const block = this.text.lines.length ? this.text.blockAt(Math.min(first, this.text.lines.length - 1)) : null;
    this.about.textContent = block ? this.named(block) : "";
  }

  named(block) {
    if (!block.kernels || this.text.id === "kernel") return block.title;
    const names = [...block.kernels].map((k) => this.model.kernels[k].name);
    return names.length > 2 ? `${names[0]} and ${names.length - 1} more` : names.join(", ");
  }

  row(row) {
    const { text, model } = this;
    const made = element("div", "row");
    made.dataset.row = row;
    made.style.transform = `translateY(${row * ROW}px)`;
    const hue = model.hue(text, row);
    if (hue !== null) {
      made.style.setProperty("--hue", hue);
      made.classList.add("linked");
    }
    const block = text.blockAt(row);
    const head = row === block.head && (block.kernels || text.id === "source");
    if (head) made.classList.add("head");
    const number = element("span", "number", text.numbers && !head ? text.numbers[row] : "");
    number.style.width = `${this.gutter}px`;
    made.append(number);
    const code = element("span", "code");
    if (head && text.id === "source") code.textContent = block.title;
    else this.parts(code, text.lines[row]);
    made.append(code);
    this.mark(made, row);
    return made;
  }

  parts(code, line) {
    let done = 0;
    for (const match of line.matchAll(this.lexer)) {
      if (match.index > done) code.append(line.slice(done, match.index));
      const kind = KINDS[match.slice(1).findIndex((part) => part !== undefined)];
      code.append(element("span", kind, match[0]));
      done = match.index + match[0].length;
    }
    if (done < line.length) code.append(line.slice(done));
  }

  mark(made, row) {
    made.classList.toggle("strong", this.light.strong.has(row));
    made.classList.toggle("weak", this.light.weak.has(row));
    made.classList.toggle("hit", this.hits.has(row));
    made.classList.toggle("current", this.current === row);
  }

  show(light) {
    this.light = light;
    for (const [row, made] of this.rows) this.mark(made, row);
    const { size } = light.strong;
    this.count.textContent = size ? `${count(size)} of ${count(this.text.lines.length)}` : "";
    this.drawRuler();
  }

  // --- search: rows

  search(word) {
    const { text } = this;
    text.small = text.small || text.lines.map((line) => line.toLowerCase());
    const found = [];
    text.small.forEach((line, row) => {
      if (line.includes(word)) found.push(row);
    });
    return found;
  }

  aim(row) {
    return this.model.atRow(this.text, row);
  }

  find(rows, current) {
    this.hits = new Set(rows);
    this.current = current;
    for (const [row, made] of this.rows) this.mark(made, row);
    this.drawRuler();
  }

  // Where the rows are that are lit, or found, of all.
  drawRuler() {
    const { clientWidth: width, clientHeight: height } = this.ruler;
    const scale = window.devicePixelRatio || 1;
    this.ruler.width = width * scale;
    this.ruler.height = height * scale;
    const context = this.ruler.getContext("2d");
    context.scale(scale, scale);
    const style = getComputedStyle(this.element);
    const each = height / Math.max(1, this.text.lines.length);
    const ticks = (rows, name) => {
      context.fillStyle = style.getPropertyValue(name);
      for (const row of rows) context.fillRect(1, row * each, width - 2, Math.max(2, Math.min(each, ROW)));
    };
    ticks(this.light.weak, "--weak-tick");
    ticks(this.light.strong, "--lit-tick");
    ticks(this.hits, "--hit-tick");
  }

  // The first row that anything comes from, or the first kernel.
  begin() {
    const { text } = this;
    const rows = text.id === "source" ? [...text.placesAt.keys()] : text.blocks.map((block) => block.head);
    if (rows.length) this.scroll.scrollTop = (Math.min(...rows) - 2) * ROW;
  }

  reveal(row) {
    const height = this.scroll.clientHeight;
    this.scroll.scrollTop = Math.max(0, row * ROW - height / 3);
    this.scroll.scrollLeft = 0;
    this.draw();
  }

  // Bring what is lit in sight, unless some of it is.
  follow() {
    let rows = this.light.strong.size ? this.light.strong : this.light.weak;
    if (!rows.size) return;
    const [first, last] = this.inSight();
    let nearest = -1;
    if (this.light.main >= 0) rows = new Set([this.light.main]);
    const middle = (first + last) / 2;
    for (const row of rows) {
      if (row >= first && row < last - 1) return;
      if (nearest < 0 || Math.abs(row - middle) < Math.abs(nearest - middle)) nearest = row;
    }
    this.reveal(nearest);
  }
}
