// The graph, drawn: kernels as boxes around the nodes that they compute, laid out by dagre; arrays between them.

const NODE = 20; // height
const LETTER = 6.3;
const HEAD = 22;
const PADDING = 10;
const SVG = "http://www.w3.org/2000/svg";
// So many nodes are drawn at first; of more, kernels are closed boxes until they are opened.
const OPEN = 100;
const FAR = 0.45; // less than that, nothing but names of boxes can be read
const LEAST = 0.75; // what is smaller is no pleasure to read
const MAP = 150; // pixels: at most so wide is the map of the whole
// Inputs are drawn where they and the kernels are not more.
const INPUTS = 24;

function shape(tag, attributes, text) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

function graphOf(settings) {
  const made = new dagre.graphlib.Graph();
  made.setGraph(settings);
  made.setDefaultEdgeLabel(() => ({}));
  return made;
}

// What is drawn of a kernel: nodes, without literals and views, which are told where they are read; and edges between
// them and from arrays.
function inside(model, box) {
  const own = new Set(box.nodes);
  const stored = new Set(box.writes);
  const read = new Set(box.reads);
  const folded = (id) => {
    const node = model.nodes[id];
    return !stored.has(id) && (node.kind === "leaf" || node.kind === "view" || node.op === "cast");
  };
  const drawn = new Map();
  const edges = [];
  for (const id of box.nodes) {
    if (folded(id)) continue;
    const through = [];
    const literals = [];
    const from = new Set();
    for (let source of model.nodes[id].in) {
      while (own.has(source) && folded(source) && model.nodes[source].in.length) {
        through.push(source);
        source = model.nodes[source].in[0];
      }
      const node = model.nodes[source];
      if (node.value !== undefined && !read.has(source)) {
        through.push(source);
        literals.push(short(node.value));
      } else from.add(source);
    }
    for (const source of from) edges.push([source, id]);
    const label = [model.nodes[id].op, ...literals].join(" ");
    drawn.set(id, { id, through, label, width: Math.max(28, label.length * LETTER + 14) });
  }
  return { drawn, edges };
}

// Which pairs of boxes a layout must know of: not those that others lead from one to the other, which it would make
// room for all the way.
function needed(boxes, arrays) {
  const before = new Map(boxes.map((box) => [box, new Set()]));
  for (const { from, to } of arrays) if (from) before.get(to).add(from);
  const above = new Map();
  const ancestors = (box) => {
    if (!above.has(box)) {
      const found = new Set(before.get(box));
      for (const one of before.get(box)) for (const far of ancestors(one)) found.add(far);
      above.set(box, found);
    }
    return above.get(box);
  };
  const pairs = [];
  for (const [box, direct] of before) {
    for (const one of direct) {
      if (![...direct].some((other) => other !== one && ancestors(other).has(one))) pairs.push([one.key, box.key]);
    }
  }
  return pairs;
}

function short(value) {
  const number = Number(value);
  return Number.isFinite(number) && value.length > 7 ? String(Number(number.toPrecision(3))) : value;
}

class Drawing {
  constructor(model, on) {
    this.model = model;
    this.on = on;
    this.layouts = new Map(); // of the same shape
    this.boxes = [...model.kernels];
    for (const library of model.data.libraries) this.boxes.push(library);
    this.boxes.forEach((box, key) => Object.assign(box, { key, ...inside(model, box) }));
    const count = this.boxes.reduce((sum, box) => sum + box.drawn.size, 0);
    this.open = new Set(count <= OPEN ? this.boxes.map((box) => box.key) : []);
    this.element = element("section", "pane graph");
    this.element.dataset.pane = "drawing";
    const head = element("header");
    head.append(element("h2", "", "Graph"), this.legend());
    this.toggle = element("button", "small", "");
    this.toggle.addEventListener("click", () => this.openAll(this.open.size < this.boxes.length));
    const fit = element("button", "small", "fit");
    fit.title = "the whole graph, or as much as can be read (0)";
    fit.addEventListener("click", () => this.fit());
    head.append(this.toggle, fit);
    this.svg = shape("svg", { tabindex: 0, role: "img", "aria-label": "the graph, a box for each kernel" });
    this.world = shape("g", {});
    this.svg.append(this.world);
    this.map = shape("svg", { class: "map", "aria-hidden": "true" });
    this.frame = shape("rect", { class: "seen" });
    this.hits = [];
    this.current = null;
    this.card = element("div", "card");
    this.card.hidden = true;
    const body = element("div", "body");
    body.append(this.svg, this.map, this.card);
    new ResizeObserver(() => this.view()).observe(this.svg);
    this.element.append(head, body);
    this.zoom = 1;
    this.at = [0, 0];
    this.listen();
  }

  legend() {
    const made = element("span", "legend");
    const ways = new Set(this.boxes.map((box) => box.way));
    for (const way of ["forward", "backward", "update", "library"]) {
      if (ways.has(way)) made.append(element("span", `key ${way}`, way));
    }
    return made;
  }

  // --- layout

  // Places of the nodes in a box, from its corner.
  laid(box) {
    const ids = [...box.drawn.keys()];
    const place = new Map(ids.map((id, k) => [id, k]));
    const edges = box.edges.filter(([from]) => place.has(from)).map(([from, to]) => [place.get(from), place.get(to)]);
    const widths = ids.map((id) => Math.ceil(box.drawn.get(id).width));
    const key = JSON.stringify([widths, edges]);
    if (!this.layouts.has(key)) {
      const graph = graphOf({ rankdir: "TB", nodesep: 10, ranksep: 18, ranker: "longest-path" });
      widths.forEach((width, k) => graph.setNode(k, { width, height: NODE }));
      for (const [from, to] of edges) graph.setEdge(from, to);
      dagre.layout(graph);
      const { width, height } = graph.graph();
      const points = edges.map(([from, to]) => graph.edge(from, to).points);
      const centers = widths.map((_, k) => [graph.node(k).x, graph.node(k).y]);
      this.layouts.set(key, { width: ids.length ? width : 0, height: ids.length ? height : 0, points, centers, edges });
    }
    const found = this.layouts.get(key);
    return { ...found, at: new Map(ids.map((id, k) => [id, found.centers[k]])) };
  }

  layout() {
    const { model } = this;
    for (const box of this.boxes) {
      const open = this.open.has(box.key);
      box.inner = open ? this.laid(box) : null;
      const name = box.name.length * 7 + 74;
      box.width = Math.max(name, open ? box.inner.width + 2 * PADDING : 0);
      box.height = open ? box.inner.height + HEAD + 2 * PADDING + 6 : HEAD + 12;
    }
    const writer = new Map();
    for (const box of this.boxes) for (const node of box.writes) writer.set(node, box);
    this.arrays = [];
    this.inputs = new Map();
    for (const box of this.boxes) {
      for (const read of box.reads) {
        let node = read;
        while (!writer.has(node) && model.nodes[node].kind === "view") node = model.nodes[node].in[0];
        const from = writer.get(node);
        if (from === box || (!from && model.nodes[node].op !== "input")) continue;
        this.arrays.push({ from, to: box, node, read });
        if (!from && !this.inputs.has(node)) {
          const label = model.nodes[node].type;
          this.inputs.set(node, { key: `input ${node}`, node, label, width: label.length * LETTER + 18, height: NODE });
        }
      }
    }
    if (this.boxes.length + this.inputs.size > INPUTS) this.inputs.clear();
    const graph = graphOf({ rankdir: "TB", nodesep: 22, ranksep: 30, edgesep: 8, ranker: "tight-tree", marginx: 20, marginy: 20 });
    const all = [...this.boxes, ...this.inputs.values()];
    for (const { key, width, height } of all) graph.setNode(key, { width, height });
    for (const [from, to] of needed(this.boxes, this.arrays)) graph.setEdge(from, to);
    for (const array of this.arrays) if (this.inputs.has(array.node)) graph.setEdge(`input ${array.node}`, array.to.key);
    dagre.layout(graph);
    for (const made of all) {
      const { x, y } = graph.node(made.key);
      made.x = x - made.width / 2;
      made.y = y - made.height / 2;
    }
    this.size = [graph.graph().width, graph.graph().height];
    for (const array of this.arrays) {
      const from = array.from || this.inputs.get(array.node);
      const edge = from && graph.edge(from.key, array.to.key);
      array.points = edge ? edge.points.map(({ x, y }) => [x, y]) : [];
    }
    this.dock();
  }

  // Where arrays enter and leave boxes: above and below the nodes that read and write them.
  dock() {
    for (const box of this.boxes) {
      const reads = this.arrays.filter((array) => array.to === box);
      const want = (array) => {
        if (!box.inner) return array.points.length ? array.points[array.points.length - 1][0] - box.x : box.width / 2;
        const xs = box.edges.filter(([from]) => from === array.read || from === array.node);
        const at = xs.map(([, to]) => box.inner.at.get(to)[0] + this.left(box));
        return at.length ? at.reduce((a, b) => a + b) / at.length : box.width / 2;
      };
      spread(reads, want, box.width).forEach(([array, x]) => {
        array.end = [box.x + x, box.y];
      });
      const writes = box.writes.map((node) => ({ node }));
      const below = ({ node }) => (box.inner && box.inner.at.has(node) ? box.inner.at.get(node)[0] + this.left(box) : box.width / 2);
      box.ports = new Map(spread(writes, below, box.width).map(([{ node }, x]) => [node, [box.x + x, box.y + box.height]]));
    }
    for (const array of this.arrays) {
      const input = this.inputs.get(array.node);
      array.begin = array.from ? array.from.ports.get(array.node) : input && [input.x + input.width / 2, input.y + NODE];
    }
  }

  left(box) {
    return (box.width - box.inner.width) / 2;
  }

  // --- drawing

  draw() {
    this.layout();
    this.world.replaceChildren();
    this.shown = []; // nodes: element, id, kernel
    const below = shape("g", { class: "arrays" });
    this.world.append(below);
    for (const array of this.arrays) {
      if (!array.begin) continue;
      const middle = array.points.slice(1, -1);
      const kind = array.points.length ? "array" : "array over"; // of boxes in between
      array.shape = shape("path", { class: kind, d: curve([array.begin, ...middle, array.end]) });
      const wide = shape("path", { class: "reach", d: array.shape.getAttribute("d") });
      wide.addEventListener("mouseenter", (event) => this.tellArray(array, event));
      wide.addEventListener("mouseleave", () => this.hush());
      below.append(array.shape, wide);
    }
    for (const input of this.inputs.values()) this.drawInput(input);
    for (const box of this.boxes) this.drawBox(box);
    this.drawMap();
    this.mark();
    this.toggle.textContent = this.open.size < this.boxes.length ? "open all" : "close all";
    this.toggle.title = "the nodes of all kernels, or none (o)";
    this.view();
  }

  // All boxes, small, beside a graph that is larger than its pane.
  drawMap() {
    this.map.setAttribute("viewBox", `0 0 ${this.size[0]} ${this.size[1]}`);
    this.map.replaceChildren(
      ...this.boxes.map((box) => {
        const { x, y, width, height, way } = box;
        box.spot = shape("rect", { class: `spot ${way}`, x, y, width, height, rx: 7 });
        return box.spot;
      }),
      this.frame,
    );
  }

  drawInput(input) {
    const group = shape("g", { class: "node input", transform: `translate(${input.x},${input.y})` });
    group.append(shape("rect", { width: input.width, height: NODE, rx: NODE / 2 }));
    group.append(shape("text", { x: input.width / 2, y: 14 }, input.label));
    this.world.append(group);
    input.shape = group;
  }

  drawBox(box) {
    const group = shape("g", { class: `box ${box.way}`, transform: `translate(${box.x},${box.y})` });
    group.dataset.kernel = box.key;
    group.append(shape("rect", { class: "frame", width: box.width, height: box.height, rx: 7 }));
    const head = shape("path", { class: "title", d: titled(box.width, box.inner ? HEAD : box.height, !!box.inner) });
    const y = box.inner ? 15 : box.height / 2 + 4;
    const name = shape("text", { class: "name", x: 9, y }, box.name);
    const cost = box.bytes === undefined ? "" : box.time ? seconds(box.time.seconds) : bytes(box.bytes);
    const told = shape("text", { class: "cost", x: box.width - 9, y }, cost);
    group.append(head, name, told);
    box.nameShape = name;
    head.addEventListener("dblclick", () => this.openOne(box));
    if (box.inner) {
      const all = shape("g", { transform: `translate(${this.left(box)},${HEAD + PADDING})` });
      const at = (point) => [point.x, point.y];
      for (const points of box.inner.points) all.append(shape("path", { class: "edge", d: curve(points.map(at)) }));
      for (const array of this.arrays.filter((a) => a.to === box)) {
        for (const [from, to] of box.edges) {
          if (from !== array.read && from !== array.node) continue;
          const [x, y2] = box.inner.at.get(to);
          const begin = [array.end[0] - box.x - this.left(box), -PADDING];
          all.append(shape("path", { class: "edge outside", d: curve([begin, [x, y2 - NODE / 2]]) }));
        }
      }
      for (const [node, [x, y2]] of box.ports) {
        if (!box.inner.at.has(node)) continue;
        const [from, down] = box.inner.at.get(node);
        const end = [x - box.x - this.left(box), y2 - box.y - HEAD - PADDING];
        all.append(shape("path", { class: "edge outside", d: curve([[from, down + NODE / 2], end]) }));
      }
      for (const [id, [x, middle]] of box.inner.at) all.append(this.drawNode(box, id, x, middle));
      group.append(all);
    }
    for (const array of this.arrays.filter((a) => a.to === box)) {
      const dot = { class: array.from ? "port" : "port given", r: 3, cx: array.end[0] - box.x, cy: 0 };
      group.append(shape("circle", dot));
    }
    for (const [node, [x]] of box.ports) {
      const kind = this.model.nodes[node].output ? "port output" : "port";
      group.append(shape("circle", { class: kind, r: 3, cx: x - box.x, cy: box.height }));
    }
    this.world.append(group);
    box.shape = group;
  }

  drawNode(box, id, x, middle) {
    const { width, label } = box.drawn.get(id);
    const node = this.model.nodes[id];
    const kind = box.writes.includes(id) ? " stored" : "";
    const group = shape("g", {
      class: `node ${node.kind}${kind}`,
      transform: `translate(${x - width / 2},${middle - NODE / 2})`,
    });
    group.dataset.node = id;
    group.dataset.kernel = box.key;
    group.append(shape("rect", { width, height: NODE, rx: 4 }));
    group.append(shape("text", { x: width / 2, y: 14 }, label));
    this.shown.push({ shape: group, id, box });
    return group;
  }

  openOne(box) {
    if (!this.open.delete(box.key)) this.open.add(box.key);
    const [x, y] = [box.x * this.zoom + this.at[0], box.y * this.zoom + this.at[1]];
    this.draw();
    this.at = [x - box.x * this.zoom, y - box.y * this.zoom]; // the box stays where it is
    this.view();
    this.on.again();
  }

  openAll(all) {
    this.open = new Set(all ? this.boxes.map((box) => box.key) : []);
    this.draw();
    this.fit();
    this.on.again();
  }

  // --- light

  show(target) {
    for (const { shape: group, id, box } of this.shown) {
      let light = target ? this.model.litNode(target, id, box.id) : "";
      if (target && !light && !target.whole) {
        for (const through of box.drawn.get(id).through) {
          if (this.model.litNode(target, through, box.id) === "strong") light = "weak";
        }
      }
      group.classList.toggle("strong", light === "strong");
      group.classList.toggle("weak", light === "weak");
    }
    for (const box of this.boxes) {
      if (!box.shape) continue;
      box.light = !!target && box.id !== undefined && this.model.litKernel(target, box);
      box.shape.classList.toggle("strong", box.light);
      box.spot.classList.toggle("strong", box.light);
    }
    for (const array of this.arrays) {
      const own = target && (target.array === array || (target.node !== undefined && [array.node, array.read].includes(target.node)));
      const whole = target && target.whole && [array.from, array.to].some((box) => box && target.kernels.has(box.id));
      if (array.shape) array.shape.classList.toggle("strong", !!(own || whole));
    }
    this.svg.classList.toggle("dim", !!target);
  }

  // Bring what is lit in sight, unless some of it is.
  follow() {
    const lit = this.boxes.filter((box) => box.light);
    if (!lit.length) return;
    const { clientWidth: width, clientHeight: height } = this.svg;
    const nodes = this.shown.filter(({ shape: group }) => group.classList.contains("strong"));
    const places = nodes.length
      ? nodes.map(({ id, box }) => [box.x + this.left(box) + box.inner.at.get(id)[0], box.y + HEAD + PADDING + box.inner.at.get(id)[1]])
      : lit.map((box) => [box.x + box.width / 2, box.y + Math.min(box.height / 2, 40)]);
    const onScreen = ([x, y]) => [x * this.zoom + this.at[0], y * this.zoom + this.at[1]];
    const seen = ([x, y]) => x > 10 && y > 10 && x < width - 10 && y < height - 10;
    if (!places.map(onScreen).some(seen)) this.center(places[0]);
  }

  // A point of the graph in the middle of the pane.
  center([x, y]) {
    const { clientWidth: width, clientHeight: height } = this.svg;
    this.at = [(width - this.room()) / 2 - x * this.zoom, height / 2 - y * this.zoom];
    this.view();
  }

  // --- search: boxes by their names, nodes by what is written on them or their types; of what is closed, the box

  search(word) {
    const found = [];
    const has = (text) => text.toLowerCase().includes(word);
    for (const box of this.boxes) {
      const own = [...box.drawn.values()].filter(({ id, label }) => has(label) || has(this.model.nodes[id].type));
      if (has(box.name) || (own.length && !box.inner)) found.push({ box });
      if (box.inner) for (const { id } of own) found.push({ box, id });
    }
    return found;
  }

  find(hits, current) {
    this.hits = hits;
    this.current = current;
    this.mark();
  }

  mark() {
    const key = ({ box, id }) => `${box.key} ${id}`;
    const hits = new Set(this.hits.map(key));
    const now = this.current && key(this.current);
    const put = (made, one) => {
      made.classList.toggle("hit", hits.has(key(one)));
      made.classList.toggle("current", now === key(one));
    };
    for (const box of this.boxes) put(box.shape, { box });
    for (const { shape: group, box, id } of this.shown) put(group, { box, id });
  }

  reveal({ box, id }) {
    const place = id === undefined || !box.inner ? null : box.inner.at.get(id);
    const x = place ? this.left(box) + place[0] : box.width / 2;
    this.center([box.x + x, box.y + (place ? HEAD + PADDING + place[1] : Math.min(box.height / 2, 40))]);
  }

  aim({ box, id }) {
    if (box.id === undefined) return null;
    return id === undefined ? this.model.atKernel(box.id) : this.model.atNode(id, box.id);
  }

  // --- view

  view() {
    this.world.setAttribute("transform", `translate(${this.at[0]},${this.at[1]}) scale(${this.zoom})`);
    this.svg.classList.toggle("far", this.zoom < FAR);
    const { clientWidth: width, clientHeight: height } = this.svg;
    const [shownWidth, shownHeight] = this.mapSize();
    const { style } = this.map;
    style.display = this.room() ? "" : "none";
    style.width = `${shownWidth}px`;
    style.height = `${shownHeight}px`;
    const seen = { x: -this.at[0], y: -this.at[1], width, height };
    for (const [name, value] of Object.entries(seen)) this.frame.setAttribute(name, value / this.zoom);
    for (const box of this.boxes) {
      if (!box.nameShape) continue;
      // From afar names are as large as their boxes let them be.
      const room = Math.min(11.5 / this.zoom, (box.width - 18) / (box.name.length * 0.62), box.height * 0.6);
      const size = this.zoom < FAR ? Math.max(11.5, room) : 11.5;
      box.nameShape.style.fontSize = `${size}px`;
      box.nameShape.setAttribute("y", box.inner ? Math.max(15, size) : box.height / 2 + size * 0.35);
    }
  }

  // The size of the map in pixels.
  mapSize() {
    const height = Math.max(40, this.svg.clientHeight - 18);
    const scale = Math.min(MAP / this.size[0], height / this.size[1]);
    return [Math.max(24, this.size[0] * scale), Math.max(24, this.size[1] * scale)];
  }

  // How much of the width the map takes: nothing where all of the graph is in sight.
  room() {
    const { clientWidth: width, clientHeight: height } = this.svg;
    const [right, below] = this.size.map((size, k) => this.at[k] + size * this.zoom);
    const whole = this.at[0] > -1 && this.at[1] > -1 && right < width + 1 && below < height + 1;
    return whole || !this.boxes.length ? 0 : this.mapSize()[0] + 18;
  }

  // All of the graph; where that could not be read, its beginning, as large as it can be.
  fit() {
    const { clientWidth: width, clientHeight: height } = this.svg;
    if (!width || !height || !this.boxes.length) return;
    this.zoom = Math.min(1.2, (width - 16) / this.size[0], (height - 16) / this.size[1]);
    this.at = [(width - this.size[0] * this.zoom) / 2, (height - this.size[1] * this.zoom) / 2];
    if (this.zoom < LEAST) {
      const left = width - this.mapSize()[0] - 18;
      this.zoom = Math.min(1, Math.max(LEAST, (left - 16) / this.size[0]));
      const first = this.boxes.reduce((a, b) => (b.y < a.y ? b : a), this.boxes[0]);
      const whole = this.size[0] * this.zoom <= left;
      const middle = whole ? this.size[0] / 2 : first.x + first.width / 2;
      this.at = [left / 2 - middle * this.zoom, 14 - first.y * this.zoom];
    }
    this.view();
  }

  scale(factor, x = this.svg.clientWidth / 2, y = this.svg.clientHeight / 2) {
    const zoom = Math.min(3, Math.max(0.02, this.zoom * factor));
    const real = zoom / this.zoom;
    this.at = [x - (x - this.at[0]) * real, y - (y - this.at[1]) * real];
    this.zoom = zoom;
    this.view();
  }

  listen() {
    const { svg } = this;
    svg.addEventListener("wheel", (event) => {
      event.preventDefault();
      const corner = svg.getBoundingClientRect();
      this.scale(Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.0016)), event.clientX - corner.left, event.clientY - corner.top);
    }, { passive: false });
    let from = null;
    let moved = 0;
    svg.addEventListener("pointerdown", (event) => {
      from = [event.clientX - this.at[0], event.clientY - this.at[1], event.clientX, event.clientY];
      moved = 0;
    });
    window.addEventListener("pointermove", (event) => {
      if (!from) return;
      moved = Math.max(moved, Math.hypot(event.clientX - from[2], event.clientY - from[3]));
      if (moved < 4) return;
      this.at = [event.clientX - from[0], event.clientY - from[1]];
      this.view();
    });
    window.addEventListener("pointerup", () => {
      from = null;
    });
    svg.addEventListener("mousemove", (event) => {
      const target = this.pointed(event);
      this.on.point(target);
      if (target) this.tell(target, event);
      else this.hush();
    });
    svg.addEventListener("mouseleave", () => {
      this.hush();
      this.on.leave();
    });
    svg.addEventListener("click", (event) => {
      if (moved < 4) this.on.pin(this.pointed(event));
    });
    const there = (event) => {
      const corner = this.map.getBoundingClientRect();
      const scale = this.size[0] / corner.width;
      this.center([(event.clientX - corner.left) * scale, (event.clientY - corner.top) * scale]);
    };
    this.map.addEventListener("pointerdown", (event) => {
      this.map.setPointerCapture(event.pointerId);
      there(event);
    });
    this.map.addEventListener("pointermove", (event) => {
      if (event.buttons) there(event);
    });
  }

  pointed(event) {
    const node = event.target.closest(".node[data-node]");
    if (node) {
      const box = this.boxes[Number(node.dataset.kernel)];
      return this.model.atNode(Number(node.dataset.node), box.id);
    }
    const box = event.target.closest(".box");
    const found = box && this.boxes[Number(box.dataset.kernel)];
    return found && found.id !== undefined ? this.model.atKernel(found.id) : null;
  }

  // --- the card beside the pointer

  tell(target, event) {
    if (target.node !== undefined) {
      const node = this.model.nodes[target.node];
      const row = this.model.text.simplified.nodes.indexOf(target.node);
      const lines = node.set < 0 ? [] : this.model.sets[node.set].map((place) => this.model.told(place));
      const text = row < 0 ? `${node.op}: ${node.type}` : this.model.text.simplified.lines[row].trim();
      this.put([text, ...lines.slice(0, 4)], event);
    } else if (target.whole) this.put(this.on.about([...target.kernels][0]), event);
  }

  tellArray(array, event) {
    const node = this.model.nodes[array.node];
    const from = array.from ? array.from.name : "an input";
    const apart = this.model.data.apart.find(
      (one) => array.from && one.written_by === array.from.name && one.read_by.includes(array.to.name) && one.array.startsWith(`${node.op} ${node.type}`),
    );
    const why = apart ? [`not fused, as ${apart.why}`, apart.remedy && `to change that: ${apart.remedy}`] : [];
    this.put([`${node.op} ${node.type}, from ${from} to ${array.to.name}`, ...why.filter(Boolean)], event);
    this.on.point({ places: new Set(), kernels: new Set(), array, node: array.node });
  }

  put(lines, event) {
    this.card.replaceChildren(...lines.map((line, k) => element("div", k ? "" : "first", line)));
    this.card.hidden = false;
    const body = this.card.parentElement.getBoundingClientRect();
    const x = Math.min(event.clientX - body.left + 14, body.width - this.card.offsetWidth - 8);
    let y = event.clientY - body.top + 16;
    if (y + this.card.offsetHeight > body.height - 6) y = event.clientY - body.top - this.card.offsetHeight - 10;
    this.card.style.transform = `translate(${Math.max(4, x)}px,${Math.max(4, y)}px)`;
  }

  hush() {
    this.card.hidden = true;
  }
}

// A title above a box, with its upper corners round; or a box that is nothing else.
function titled(width, height, above) {
  const r = 7;
  const end = above ? `V${height}H0V${r}` : `V${height - r}Q${width},${height} ${width - r},${height}H${r}Q0,${height} 0,${height - r}V${r}`;
  return `M0,${r}Q0,0 ${r},0H${width - r}Q${width},0 ${width},${r}${end}Z`;
}

// A curve through points that go down.
function curve(points) {
  let d = `M${points[0].map(round)}`;
  for (let k = 1; k < points.length; k++) {
    const [x0, y0] = points[k - 1];
    const [x1, y1] = points[k];
    const half = (y1 - y0) / 2;
    d += `C${round(x0)},${round(y0 + half)} ${round(x1)},${round(y1 - half)} ${round(x1)},${round(y1)}`;
  }
  return d;
}

function round(value) {
  return Math.round(value * 10) / 10;
}

// Each of `all` near to where it wants to be, in order, apart from its neighbours.
function spread(all, want, width) {
  const placed = all.map((one) => [one, Math.min(width - 12, Math.max(12, want(one)))]).sort((a, b) => a[1] - b[1]);
  const apart = Math.min(10, (width - 24) / Math.max(1, all.length - 1));
  for (let k = 1; k < placed.length; k++) placed[k][1] = Math.max(placed[k][1], placed[k - 1][1] + apart);
  const over = placed.length ? placed[placed.length - 1][1] - (width - 12) : 0;
  if (over > 0) {
    for (let k = placed.length - 1, most = width - 12; k >= 0 && placed[k][1] > most; k--, most -= apart) placed[k][1] = most;
  }
  return placed;
}
