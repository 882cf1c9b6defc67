// The data of the page, and what belongs together: which lines of which texts come from the same places.

async function unpacked(packed) {
  const bytes = Uint8Array.from(atob(packed), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return JSON.parse(await new Response(stream).text());
}

const FUNCTION = /^(kernel |func |define |[A-Za-z_$][\w.$]*:|(\.visible )?\.entry )/;

// A text as rows: `lines`, the set of places of each, and blocks of rows with the kernels that they are of.
class Text {
  constructor(id, title, blocks) {
    this.id = id;
    this.title = title;
    this.lines = [];
    this.sets = [];
    this.nodes = [];
    this.numbers = null; // of lines in their file
    this.blocks = [];
    for (const block of blocks) {
      const begin = this.lines.length;
      for (const line of block.text.split("\n")) this.lines.push(line);
      for (const set of block.sets) this.sets.push(set);
      while (this.sets.length < this.lines.length) this.sets.push(-1);
      if (block.nodes) for (const node of block.nodes) this.nodes.push(node);
      const kernels = block.kernels ? new Set(block.kernels) : null;
      const linked = block.sets.some((set) => set >= 0);
      // Its name stands in the first line of a function, after what is told of the target.
      let head = begin;
      while (kernels && head < this.lines.length && !FUNCTION.test(this.lines[head])) head += 1;
      if (head === this.lines.length) head = begin;
      this.blocks.push({ begin, end: this.lines.length, head, kernels, linked, title: block.title || "" });
    }
    this.widest = this.lines.reduce((most, line) => Math.max(most, line.length), 0);
  }

  blockAt(row) {
    let low = 0;
    let high = this.blocks.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.blocks[middle].begin <= row) low = middle;
      else high = middle - 1;
    }
    return this.blocks[low];
  }

  // By the set that they have.
  get bySet() {
    if (!this._bySet) {
      this._bySet = new Map();
      this.sets.forEach((set, row) => {
        if (set < 0) return;
        if (!this._bySet.has(set)) this._bySet.set(set, []);
        this._bySet.get(set).push(row);
      });
    }
    return this._bySet;
  }
}

class Model {
  constructor(data) {
    this.data = data;
    this.name = data.name;
    this.target = data.target;
    this.places = data.places.map(([file, line, module, backward, called, calls], id) => ({
      id, file, line, module, backward, called, calls,
    }));
    this.sets = data.sets;
    this.nodes = data.nodes;
    this.kernels = data.kernels;
    this.nodes.forEach((node, id) => Object.assign(node, { id, kernels: new Set() }));
    this.kernels.forEach((kernel, id) => {
      kernel.id = id;
      kernel.time = kernel.unit === undefined ? null : data.times[kernel.unit];
      for (const node of kernel.nodes) this.nodes[node].kernels.add(id);
      kernel.places = new Set();
    });
    this.setsOfPlace = this.places.map(() => []);
    this.sets.forEach((places, set) => places.forEach((place) => this.setsOfPlace[place].push(set)));
    this.texts = [this.source(), ...data.panes.map((pane) => new Text(pane.id, pane.title, pane.blocks))];
    this.text = Object.fromEntries(this.texts.map((text) => [text.id, text]));
    this.fill();
  }

  source() {
    const blocks = this.data.files.map(([name, lines]) => ({
      text: ["", ...lines].join("\n"), sets: [], title: name,
    }));
    const text = new Text("source", "Source", blocks);
    text.numbers = [];
    for (const block of text.blocks) {
      for (let row = block.begin; row < block.end; row++) text.numbers.push(row - block.begin);
    }
    text.rowOf = (file, line) => text.blocks[file].begin + line;
    text.placesAt = new Map(); // row to the places there; `called`: places that its calls lead to
    text.called = new Map();
    const add = (map, row, place) => {
      if (!map.has(row)) map.set(row, new Set());
      map.get(row).add(place);
    };
    for (const place of this.places) {
      add(text.placesAt, text.rowOf(place.file, place.line), place.id);
      for (const [file, line] of place.calls) add(text.called, text.rowOf(file, line), place.id);
    }
    return text;
  }

  // What is told of kernels by their text and by where they come from.
  fill() {
    for (const text of this.texts) {
      if (text.id !== "kernel") continue;
      for (const block of text.blocks) {
        const [id] = block.kernels;
        for (let row = block.begin; row < block.end; row++) {
          if (text.sets[row] >= 0) for (const p of this.sets[text.sets[row]]) this.kernels[id].places.add(p);
        }
      }
    }
    for (const kernel of this.kernels) {
      const written = kernel.writes.map((n) => this.nodes[n]).filter((n) => n.set >= 0);
      const places = written.flatMap((n) => this.sets[n.set].slice(0, 1)).map((p) => this.places[p]);
      const computed = places.filter((p) => !this.data.optimizers.includes(p.module));
      kernel.way = computed.length && computed.every((p) => p.backward) ? "backward" : "forward";
      if (places.length && !computed.length) kernel.way = "update";
    }
    for (const library of this.data.libraries) {
      library.way = "library";
      library.time = library.unit === undefined ? null : this.data.times[library.unit];
    }
    // A hue for each line of the source that anything comes from.
    const rows = [...this.text.source.placesAt.keys()].sort((a, b) => a - b);
    this.hueOfRow = new Map(rows.map((row, k) => [row, Math.round((k * 137.508 + 210) % 360)]));
  }

  rowOfPlace(id) {
    const place = this.places[id];
    return this.text.source.rowOf(place.file, place.line);
  }

  hue(text, row) {
    if (text.id === "source") return text.placesAt.has(row) ? this.hueOfRow.get(row) : null;
    const set = text.sets[row];
    return set < 0 ? null : this.hueOfRow.get(this.rowOfPlace(this.sets[set][0]));
  }

  // Where a place is, in words.
  told(id) {
    const place = this.places[id];
    const called = place.called ? ` ${place.called}` : "";
    const module = place.module ? ` in ${place.module}` : "";
    const backward = place.backward ? `, backward of ${place.backward}` : "";
    return `${this.data.files[place.file][0]}:${place.line}${called}${module}${backward}`;
  }

  // --- what is pointed at: places, kernels (null: any), one node, one row

  atRow(text, row) {
    const block = text.blockAt(row);
    if (text.id === "source") {
      const places = text.placesAt.get(row) || text.called.get(row) || new Set();
      return { places, kernels: null, text, row };
    }
    const node = text.nodes.length ? text.nodes[row] : -1;
    const set = text.sets[row];
    const places = new Set(set < 0 ? [] : this.sets[set]);
    let kernels = block.kernels;
    if (node >= 0 && this.nodes[node].kernels.size) kernels = this.nodes[node].kernels;
    return { places, kernels, text, row, node: node < 0 ? undefined : node, whole: set < 0 && !!block.kernels };
  }

  atNode(id, kernel) {
    const node = this.nodes[id];
    const places = new Set(node.set < 0 ? [] : this.sets[node.set]);
    const kernels = kernel === undefined ? (node.kernels.size ? node.kernels : null) : new Set([kernel]);
    return { places, kernels, node: id };
  }

  atKernel(id) {
    return { places: new Set(), kernels: new Set([id]), whole: true };
  }

  // Rows of `text` that come from what is pointed at, or that it comes from. `strong`: it itself; `weak`: what is
  // around it, that is calls of its lines, or all of its kernel; `main`: the row to be seen first, if there is one.
  lit(target, text) {
    const strong = new Set();
    const weak = new Set();
    if (text.id === "source") {
      const places = target.whole ? [...target.kernels].flatMap((k) => [...this.kernels[k].places]) : target.places;
      for (const id of places) {
        (target.whole ? weak : strong).add(this.rowOfPlace(id));
        if (!target.whole) for (const [file, line] of this.places[id].calls) weak.add(text.rowOf(file, line));
      }
      if (target.text === text) strong.add(target.row);
      return { strong, weak };
    }
    const meets = (kernels) => {
      if (!target.kernels || !kernels) return true;
      for (const kernel of kernels) if (target.kernels.has(kernel)) return true;
      return false;
    };
    if (target.whole) {
      for (const block of text.blocks) {
        if (!block.kernels || !meets(block.kernels)) continue;
        strong.add(block.head);
        for (let row = block.begin; row < block.end; row++) if (row !== block.head) weak.add(row);
      }
      if (text.id === "simplified") {
        text.nodes.forEach((node, row) => {
          if (node >= 0 && this.nodes[node].kernels.size && meets(this.nodes[node].kernels)) weak.add(row);
        });
      }
    } else {
      const sets = new Set([...target.places].flatMap((place) => this.setsOfPlace[place]));
      for (const set of sets) {
        for (const row of text.bySet.get(set) || []) {
          const node = text.nodes.length ? text.nodes[row] : -1;
          const own = node >= 0 && this.nodes[node].kernels.size ? this.nodes[node].kernels : null;
          if (meets(text.blockAt(row).kernels || own)) strong.add(row);
        }
      }
      for (const block of text.blocks) {
        // Of what has no lines, all belongs to all of its kernel.
        if (block.linked || !block.kernels) continue;
        if ([...block.kernels].some((kernel) => this.litKernel(target, this.kernels[kernel]))) strong.add(block.head);
      }
    }
    if (target.text === text) strong.add(target.row);
    const main = target.node !== undefined && text.id === "simplified" ? text.nodes.indexOf(target.node) : -1;
    return { strong, weak, main };
  }

  // The same of a node that is drawn in a kernel: "strong", "weak" or "".
  litNode(target, id, kernel) {
    if (target.node === id && (!target.kernels || target.kernels.has(kernel))) return "strong";
    if (target.kernels && !target.kernels.has(kernel)) return "";
    if (target.whole) return "weak";
    const set = this.nodes[id].set;
    if (set < 0) return "";
    for (const place of this.sets[set]) if (target.places.has(place)) return "strong";
    return "";
  }

  // Calls of libraries that come straight before a kernel; of all kernels, after the last.
  librariesBefore(id) {
    return this.data.libraries.filter((library) => library.before === id);
  }

  litItem(target, item) {
    if (item.way !== "library") return this.litKernel(target, item);
    return item.nodes.some((node) => this.litNode(target, node) === "strong");
  }

  litKernel(target, kernel) {
    if (target.kernels) return target.kernels.has(kernel.id);
    for (const place of kernel.places) if (target.places.has(place)) return true;
    return false;
  }
}

const UNITS = ["B", "kB", "MB", "GB", "TB"];

function bytes(count) {
  let unit = 0;
  let value = count;
  while (value >= 1000 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit && value < 10 ? value.toFixed(1) : Math.round(value)} ${UNITS[unit]}`;
}

function seconds(value) {
  for (const [unit, size] of [["s", 1], ["ms", 1e-3], ["µs", 1e-6]]) {
    if (value >= size) return `${(value / size).toPrecision(3)} ${unit}`;
  }
  return `${Math.round(value * 1e9)} ns`;
}

function count(number) {
  return number.toLocaleString("en");
}

function several(number, what) {
  return `${count(number)} ${what}${number === 1 ? "" : "s"}`;
}

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}
