// The display on the page: its buttons, legend and strip of events, and what mouse, fingers and keys do.

const NONE = -1;
const element = (tag, attributes = {}, ...children) => {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
};
const count = (n) => n.toLocaleString("en").replaceAll(",", "\u2009");

// Neighbours in the list are far apart in hue: items that touch often have numbers that follow each other.
const ITEM_COLORS = ["#0072b2", "#e69f00", "#009e73", "#d55e00", "#56b4e9", "#cc79a7", "#8a6d00", "#6a51a3", "#66a61e", "#e7298a",
  "#1b9e9e", "#a6611a", "#80b1d3", "#b15928", "#4d4dff", "#c0b000", "#7f0000", "#35978f", "#f781bf", "#00a0ff"];
const START = { yaw: -0.62, pitch: 0.42, zoom: 1, panX: 0, panY: 0, flat: false, fit: false };
const VIEWS = {
  "3-D": { yaw: START.yaw, pitch: START.pitch, flat: false },
  "z\u2013y": { yaw: -Math.PI / 2, pitch: 0, flat: true },
  "x\u2013y": { yaw: 0, pitch: 0, flat: true },
  "z\u2013x": { yaw: -Math.PI / 2, pitch: Math.PI / 2, flat: true },
};

class Viewer {
  constructor(root, config) {
    this.root = root;
    this.classes = config.classes;
    this.index = new Map(this.classes.map((c, i) => [c.id, i]));
    this.events = config.events.map((payload) => new DisplayEvent(payload));
    this.view = { ...START };
    this.options = { mode: this.events[0].modes[0][0], color: this.events[0].start, sized: true, marked: true };
    this.hidden = new Set();
    this.build();
    this.select(0);
  }

  colors() {
    const style = getComputedStyle(this.root);
    const value = (name) => style.getPropertyValue(name).trim();
    return { grid: value("--box-grid"), edge: value("--box-edge"), text: value("--muted"), faint: value("--faint-voxel") };
  }

  build() {
    this.root.replaceChildren();
    this.root.classList.add("ready");
    this.frame = element("canvas", { class: "frame", "aria-hidden": "true" });
    this.cloud = element("canvas", { class: "cloud", tabindex: "0", role: "img" });
    this.tip = element("div", { class: "tip", hidden: "" });
    this.stage = element("div", { class: "stage" }, this.frame, this.cloud, this.tip);
    this.title = element("strong");
    this.subtitle = element("span", { class: "subtitle" });
    this.modes = element("div", { class: "segmented", role: "group", "aria-label": "What is shown" });
    this.colorBy = element("div", { class: "segmented", role: "group", "aria-label": "Colour" });
    this.viewBar = element("div", { class: "segmented", role: "group", "aria-label": "Point of view" });
    this.legend = element("div", { class: "legend", role: "group", "aria-label": "Classes shown" });
    const fold = element("div", { class: "bar" }, this.modes, this.colorBy, this.viewBar);
    for (const [name, view] of Object.entries(VIEWS)) {
      this.viewBar.append(this.button(name, "view", name, () => this.fly({ ...view, panX: 0, panY: 0, zoom: 1, fit: this.view.fit })));
    }
    this.fitButton = this.button("Fit", "fit", "fit", () => this.fly({ fit: !this.view.fit, zoom: 1, panX: 0, panY: 0 }));
    this.fitButton.title = "Fit the view to the charge or to the detector";
    this.sizeButton = this.button("Size", "size", "size", () => { this.options.sized = !this.options.sized; this.refresh(); });
    this.sizeButton.title = "Size of a point follows its charge";
    this.markButton = this.button("Points", "marks", "marks", () => { this.options.marked = !this.options.marked; this.refresh(); });
    this.markButton.title = "Points (rings) and vertices (crosses)";
    this.fullButton = this.button("Full screen", "full", "full", () => {
      if (document.fullscreenElement) document.exitFullscreen(); else this.root.requestFullscreen();
    });
    fold.append(element("div", { class: "segmented" }, this.fitButton, this.sizeButton, this.markButton));
    if (document.fullscreenEnabled) fold.append(element("div", { class: "segmented" }, this.fullButton));
    this.strip = element("div", { class: "strip", role: "group", "aria-label": "Events" });
    this.root.append(element("div", { class: "heading" }, this.title, " ", this.subtitle), fold, this.stage, this.legend,
      element("p", { class: "hint" }, "Drag to rotate, shift-drag to move, click and scroll or use + and \u2212 to zoom, arrow keys to turn, 0 to reset."));
    if (this.events.length > 1) this.root.append(this.strip);
    this.renderer = new Renderer(this.frame, this.cloud);
    this.table = shadeTable([...this.classes.map((c) => c.color), "#000000"]);
    this.itemTable = shadeTable([...ITEM_COLORS, "#000000"]);
    this.chargeTable = shadeTable(mapColors(CHARGE_MAP, 256));
    this.interact();
    new ResizeObserver(() => this.draw()).observe(this.stage);
    const redraw = () => { this.draw(); this.thumbnails(); };
    for (const query of ["(prefers-color-scheme: dark)", "print"]) matchMedia(query).addEventListener("change", redraw);
    new MutationObserver(redraw).observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
  }

  button(text, kind, value, action) {
    const node = element("button", { type: "button", [`data-${kind}`]: value, "aria-pressed": "false" }, text);
    node.addEventListener("click", action);
    return node;
  }

  select(k) {
    this.event = this.events[k];
    this.current = k;
    if (!this.event.modes.some(([mode]) => mode === this.options.mode)) this.options.mode = this.event.modes[0][0];
    this.modes.replaceChildren(...this.event.modes.map(([key, name]) =>
      this.button(name, "mode", key, () => { this.options.mode = key; this.refresh(); })));
    const colors = [["class", "Class"], ...this.event.layers.map((l) => [l.name, l.name[0].toUpperCase() + l.name.slice(1)]), ["charge", "Charge"]];
    if (!colors.some(([key]) => key === this.options.color)) this.options.color = this.event.start;
    this.colorBy.replaceChildren(...colors.map(([key, name]) =>
      this.button(name, "color", key, () => { this.options.color = key; this.refresh(); })));
    this.markButton.hidden = !this.event.markers.length;
    this.title.textContent = this.event.title;
    this.subtitle.textContent = this.event.subtitle;
    this.refresh();
  }

  refresh() {
    const press = (node, on) => node.setAttribute("aria-pressed", String(on));
    for (const node of this.modes.children) press(node, node.dataset.mode === this.options.mode);
    for (const node of this.colorBy.children) press(node, node.dataset.color === this.options.color);
    press(this.sizeButton, this.options.sized);
    press(this.markButton, this.options.marked);
    for (const [k, node] of [...this.strip.children].entries()) press(node, k === this.current);
    this.buildLegend();
    this.draw();
  }

  buildLegend() {
    const { event, options } = this;
    const counts = (labels, keep) => {
      const n = new Map();
      for (let i = 0; i < event.n; i++) if (keep(i)) n.set(labels[i], (n.get(labels[i]) || 0) + 1);
      return n;
    };
    const all = () => true;
    const shown = { both: ["truth", "prediction"], truth: ["truth"], prediction: ["prediction"], errors: ["prediction"], charge: [] }[options.mode];
    const known = shown.filter((mode) => (mode === "truth" ? event.truth : event.predicted));
    const tallies = known.map((mode) => counts(event.labels(mode), options.mode === "errors" ? (i) => event.wrong(i) : all));
    const items = [];
    const layer = event.layer(options.color);
    if (layer && options.mode !== "charge") {
      const items = (labels) => (labels ? count(new Set(labels.filter((k) => k >= 0)).size) : "\u2013");
      const sides = options.mode === "both" ? ["truth", "prediction"] : [options.mode === "truth" ? "truth" : "prediction"];
      const text = sides.map((side) => items(side === "truth" ? layer.truth : layer.predicted)).join(" \u2192 ");
      this.legend.replaceChildren(element("span", { class: "note" }, `${layer.name}: ${text}; grey: in none of them`));
      this.say(options.mode);
      return;
    }
    for (const { id, name, color } of this.classes) {
      if (!tallies.some((tally) => tally.get(id))) continue;
      items.push(this.legendItem(id, name, color, tallies.map((tally) => count(tally.get(id) || 0)).join(" \u2192 ")));
    }
    if (options.mode === "errors") {
      const right = event.n - [...tallies[0].values()].reduce((a, b) => a + b, 0);
      const name = event.truth.includes(NONE) ? "correct or without label" : "correct";
      items.unshift(this.legendItem("right", name, this.colors().faint, count(right)));
      items.push(element("span", { class: "note" }, `wrong ${event.things} in the colour of their predicted class`));
    } else if (known.length < shown.length) {
      const without = shown.find((mode) => !known.includes(mode));
      items.push(element("span", { class: "note" }, `${known.length ? `${event.things} of the ${known[0]}; ` : ""}the ${without} has no classes`));
    } else if (options.mode === "both") {
      items.push(element("span", { class: "note" }, `${event.things}: truth \u2192 prediction`));
    }
    if (options.color === "charge" || options.mode === "charge") {
      const digits = (q) => (q >= 10 ? q.toFixed(0) : q.toPrecision(2));
      items.push(element("span", { class: "scale" }, `${digits(event.lowCharge)} ${event.unit}`,
        element("span", { class: "ramp", style: `background:linear-gradient(90deg,${CHARGE_MAP.join()})` }), `${digits(event.highCharge)} ${event.unit}`));
    }
    this.legend.replaceChildren(...items);
    this.say(options.mode);
  }

  say(mode) {
    const { event } = this;
    const name = event.modes.find(([key]) => key === mode)[1];
    this.cloud.setAttribute("aria-label", `${event.title}, ${name.toLowerCase()}: ${count(event.n)} ${event.things} in three dimensions. ` +
      "Arrow keys turn the view, plus and minus zoom, 0 resets.");
  }

  legendItem(id, name, color, tally) {
    const node = this.button("", "class", id, () => {
      if (!this.hidden.delete(id)) this.hidden.add(id);
      node.setAttribute("aria-pressed", String(!this.hidden.has(id)));
      this.draw();
    });
    node.append(element("span", { class: "swatch", style: `background:${color}` }), `${name} `, element("span", { class: "count" }, tally));
    node.setAttribute("aria-pressed", String(!this.hidden.has(id)));
    return node;
  }

  painter(event, mode, color) {
    const row = (id) => this.index.get(id) ?? this.index.get(NONE);
    const size = (i) => (this.options.sized ? event.weight[i] : 1);
    if (mode === "charge") return (i) => [event.chargeColor[i], size(i)];
    const layer = event.layer(color);
    if (layer) {
      const items = mode === "truth" ? layer.truth : layer.predicted;
      return (i) => (items && items[i] >= 0 ? [items[i] % ITEM_COLORS.length, size(i)] : [ITEM_COLORS.length, 0.75]);
    }
    const labels = event.labels(mode);
    const byCharge = color === "charge";
    if (mode === "errors") {
      const faint = this.classes.length;
      return (i) => {
        if (!event.wrong(i)) return this.hidden.has("right") ? null : [byCharge ? event.chargeColor[i] : faint, 0.75];
        return this.hidden.has(labels[i]) ? null : [byCharge ? event.chargeColor[i] : row(labels[i]), Math.max(1.15, size(i))];
      };
    }
    return (i) => (this.hidden.has(labels[i]) ? null : [byCharge ? event.chargeColor[i] : row(labels[i]), size(i)]);
  }

  draw() {
    if (this.pending) return;
    this.pending = true;
    requestAnimationFrame(() => { this.pending = false; this.render(); });
  }

  render() {
    const stage = this.stage.getBoundingClientRect();
    if (!stage.width || !stage.height) return;
    const { renderer, event, view, options } = this;
    renderer.resize(stage.width, stage.height, Math.max(2, Math.min(3, devicePixelRatio || 1)));
    const colors = this.colors();
    const byCharge = options.color === "charge" || options.mode === "charge";
    const byItem = !byCharge && event.layer(options.color);
    const table = byCharge ? this.chargeTable : byItem ? this.itemTable : this.table;
    if (!byCharge) table.set(shadeTable([colors.faint]), (byItem ? ITEM_COLORS : this.classes).length * SHADES);
    renderer.begin();
    const marked = [];
    const panels = options.mode === "both" ? [["truth", "Truth"], ["prediction", "Prediction"]] : [[options.mode, ""]];
    // Two panels lie beside each other, or on a narrow screen one above the other.
    const beside = renderer.width > renderer.height;
    const width = Math.floor(renderer.width / (beside ? panels.length : 1));
    const height = Math.floor(renderer.height / (beside ? 1 : panels.length));
    panels.forEach(([mode, title], p) => {
      const area = { left: beside ? p * width : 0, top: beside ? 0 : p * height, width, height };
      const camera = renderer.camera(event, view, area);
      renderer.box(event, camera, colors, area, title);
      renderer.points(event, camera, table, this.painter(event, mode, options.color), area);
      if (options.marked) marked.push([camera, area, mode === "truth" ? "truth" : "prediction"]);
    });
    renderer.end();
    const classColor = (id) => (this.index.has(id) && id !== NONE ? this.classes[this.index.get(id)].color : colors.text);
    for (const [camera, area, side] of marked) renderer.marks(event.markers.filter((m) => m.source === side), camera, classColor, area);
    for (const node of this.viewBar.children) {
      const target = VIEWS[node.dataset.view];
      node.setAttribute("aria-pressed", String(["yaw", "pitch", "flat"].every((key) => Math.abs(target[key] - view[key]) < 1e-6)));
    }
    this.fitButton.setAttribute("aria-pressed", String(view.fit));
  }

  thumbnails() {
    if (this.events.length < 2) return;
    const [width, height] = [132, 92];
    const buttons = this.events.map((event, k) => {
      const canvas = element("canvas", { "aria-hidden": "true" });
      const node = this.button("", "event", k, () => this.select(k));
      node.append(canvas, element("span", { class: "label" }, event.label || event.title), element("span", { class: "sub" }, event.title));
      node.setAttribute("aria-pressed", String(k === this.current));
      const renderer = new Renderer(canvas, canvas);
      renderer.resize(width, height, 2);
      renderer.begin();
      const view = { ...START, fit: true, zoom: 1.2, frame: false };
      const said = event.layer(event.start) || event;
      const mode = said.predicted ? "prediction" : said.truth ? "truth" : "charge";
      const table = mode === "charge" ? this.chargeTable : event.layer(event.start) ? this.itemTable : this.table;
      const area = { left: 0, top: 0, width: renderer.width, height: renderer.height };
      const camera = renderer.camera(event, view, area);
      const hidden = this.hidden; this.hidden = new Set();
      renderer.points(event, camera, table, this.painter(event, mode, event.start), area);
      this.hidden = hidden;
      renderer.end();
      return node;
    });
    this.strip.replaceChildren(...buttons);
  }

  fly(target) {
    const from = { ...this.view };
    const turn = ((target.yaw ?? from.yaw) - from.yaw) % (2 * Math.PI);
    const yaw = from.yaw + (turn > Math.PI ? turn - 2 * Math.PI : turn < -Math.PI ? turn + 2 * Math.PI : turn);
    const finish = () => { Object.assign(this.view, target); this.draw(); };
    cancelAnimationFrame(this.flight);
    if (matchMedia("(prefers-reduced-motion: reduce)").matches || target.fit !== undefined && target.fit !== from.fit) return finish();
    const begin = performance.now();
    this.view.flat = false;
    const step = (now) => {
      const t = clamp((now - begin) / 280, 0, 1), e = t * t * (3 - 2 * t);
      if (t >= 1) return finish();
      for (const key of ["pitch", "zoom", "panX", "panY"]) if (key in target) this.view[key] = from[key] + (target[key] - from[key]) * e;
      this.view.yaw = from.yaw + (yaw - from.yaw) * e;
      this.draw();
      this.flight = requestAnimationFrame(step);
    };
    this.flight = requestAnimationFrame(step);
  }

  turn(dYaw, dPitch) {
    this.view.yaw -= dYaw;
    this.view.pitch = clamp(this.view.pitch + dPitch, -Math.PI / 2, Math.PI / 2);
    this.view.flat = false;
    this.draw();
  }

  zoom(factor) { this.view.zoom = clamp(this.view.zoom * factor, 0.3, 40); this.draw(); }

  interact() {
    const pointers = new Map();
    const { cloud } = this;
    cloud.addEventListener("pointerdown", (e) => {
      cancelAnimationFrame(this.flight);
      pointers.set(e.pointerId, [e.clientX, e.clientY]);
      cloud.setPointerCapture(e.pointerId);
      cloud.focus({ preventScroll: true });
      this.tip.hidden = true;
    });
    cloud.addEventListener("pointermove", (e) => {
      const last = pointers.get(e.pointerId);
      if (!last) { this.hover(e); return; }
      const [dx, dy] = [e.clientX - last[0], e.clientY - last[1]];
      if (pointers.size === 2) {
        const other = [...pointers].find(([id]) => id !== e.pointerId)[1];
        const [before, after] = [last, [e.clientX, e.clientY]].map((p) => Math.hypot(p[0] - other[0], p[1] - other[1]));
        this.zoom(after / Math.max(before, 1));
      } else if (e.shiftKey || e.buttons === 2) {
        this.view.panX += dx; this.view.panY += dy; this.draw();
      } else {
        this.turn(dx * 0.008, dy * 0.008);
      }
      pointers.set(e.pointerId, [e.clientX, e.clientY]);
    });
    for (const kind of ["pointerup", "pointercancel"]) cloud.addEventListener(kind, (e) => pointers.delete(e.pointerId));
    cloud.addEventListener("pointerleave", () => { this.tip.hidden = true; });
    cloud.addEventListener("contextmenu", (e) => e.preventDefault());
    cloud.addEventListener("dblclick", () => this.fly({ ...START, fit: this.view.fit }));
    // The wheel scrolls the page until the display has been clicked.
    cloud.addEventListener("wheel", (e) => {
      if (document.activeElement !== cloud && !e.ctrlKey) return;
      e.preventDefault();
      this.zoom(Math.exp(-e.deltaY * 0.0015));
    }, { passive: false });
    cloud.addEventListener("keydown", (e) => {
      const actions = {
        ArrowLeft: () => this.turn(-0.12, 0), ArrowRight: () => this.turn(0.12, 0),
        ArrowUp: () => this.turn(0, -0.12), ArrowDown: () => this.turn(0, 0.12),
        "+": () => this.zoom(1.2), "=": () => this.zoom(1.2), "-": () => this.zoom(1 / 1.2),
        0: () => this.fly({ ...START, fit: this.view.fit }),
      };
      if (!actions[e.key] || e.ctrlKey || e.metaKey || e.altKey) return;
      e.preventDefault();
      actions[e.key]();
    });
  }

  pick(e) {
    const { renderer } = this;
    const box = this.cloud.getBoundingClientRect();
    const x = Math.floor((e.clientX - box.left) * renderer.density), y = Math.floor((e.clientY - box.top) * renderer.density);
    const reach = 5 * renderer.density;
    let best = -1, nearest = Infinity;
    for (let dy = -reach; dy <= reach; dy++) for (let dx = -reach; dx <= reach; dx++) {
      const [u, v] = [x + dx, y + dy];
      if (u < 0 || v < 0 || u >= renderer.width || v >= renderer.height) continue;
      const id = renderer.ids[v * renderer.width + u];
      if (id >= 0 && dx * dx + dy * dy < nearest) { nearest = dx * dx + dy * dy; best = id; }
    }
    return best;
  }

  hover(e) {
    const i = this.renderer.ids ? this.pick(e) : -1;
    this.tip.hidden = i < 0;
    if (i < 0) return;
    const { event } = this;
    const xyz = [0, 1, 2].map((k) => event.points[3 * i + k].toFixed(1).replace("-", "\u2212")).join(", ");
    const named = (id) => {
      const c = this.classes[this.index.get(id) ?? this.index.get(NONE)];
      return element("span", {}, element("span", { class: "swatch", style: `background:${c.color}` }), c.name);
    };
    const rows = [["position", `${xyz} cm`]];
    if (event.things === "voxels") rows.push(["voxel", [...event.voxels.slice(3 * i, 3 * i + 3)].join(", ")]);
    rows.push(["charge", `${event.charge[i].toPrecision(3)} ${event.unit}`]);
    if (event.truth) rows.push(["truth", named(event.truth[i])]);
    if (event.predicted) rows.push(["predicted", named(event.predicted[i])]);
    for (const { name, truth, predicted } of event.layers) {
      const said = [truth, predicted].filter((items) => items).map((items) => (items[i] < 0 ? "none" : items[i]));
      rows.push([name, said.join(" \u2192 ")]);
    }
    if (event.score) rows.push(["score", (event.score[i] / 255).toFixed(2)]);
    this.tip.replaceChildren(element("dl", {}, ...rows.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)])));
    const box = this.stage.getBoundingClientRect();
    const [x, y] = [e.clientX - box.left, e.clientY - box.top];
    this.tip.style.left = `${x + 16 + this.tip.offsetWidth > box.width ? x - 14 - this.tip.offsetWidth : x + 16}px`;
    this.tip.style.top = `${clamp(y + 12, 0, Math.max(0, box.height - this.tip.offsetHeight))}px`;
  }
}

const start = (root) => {
  const config = JSON.parse(root.querySelector('script[type="application/json"]').textContent);
  try {
    const viewer = new Viewer(root, config);
    requestAnimationFrame(() => viewer.thumbnails());
  } catch (error) {
    root.replaceChildren(element("p", { class: "problem", role: "alert" }, `The event display cannot be drawn: ${error.message}.`));
  }
};

const begin = () => {
  const near = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) if (isIntersecting) { near.unobserve(target); start(target); }
  }, { rootMargin: "600px" });
  for (const root of document.querySelectorAll(".event-display")) near.observe(root);
  addEventListener("beforeprint", () => {
    for (const root of document.querySelectorAll(".event-display:not(.ready)")) { near.unobserve(root); start(root); }
  });
};
if (document.readyState === "loading") addEventListener("DOMContentLoaded", begin); else begin();
