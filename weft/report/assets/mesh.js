// A mesh that turns: faces are drawn once into a buffer of their numbers, from which each panel takes its colours.

const bytes = (text) => inflate(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)));

const make = (name, properties = {}, ...children) => {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
};

const BEGIN = { yaw: 0.5, pitch: 0.75, zoom: 1, right: 0, up: 0 };
const VIEWS = { "3-D": { yaw: 0.5, pitch: 0.75 }, "from above": { yaw: 0, pitch: Math.PI / 2 }, "from the side": { yaw: 0, pitch: 0 } };
const MOST_HEIGHT = 560, NOTHING = -1;

class Mesh {
  constructor(host, data) {
    Object.assign(this, { host, data, view: { ...BEGIN } });
    const grid = new Uint16Array(bytes(data.vertices).buffer), wide = data.wide ? Uint32Array : Uint16Array;
    this.points = Float32Array.from(grid, (g, i) => (g / 65535 - 0.5) * data.extent[i % 3]);
    this.corners = new wide(bytes(data.faces).buffer);
    this.count = this.corners.length / 3;
    this.shade = this.shades();
    this.layers = data.layers.map((layer) => this.layer(layer));
    // Truth to the left, the prediction to the right.
    this.panels = [0, 1].map((k) => ({ shown: k < this.layers.length ? k : NOTHING }));
    this.build();
    this.layout();
    new ResizeObserver(() => this.layout()).observe(this.host);
  }

  // How bright a face is, 0 to 1, by a sun in the south-west; which side it is seen from does not matter.
  shades() {
    const { points, corners } = this, out = new Float32Array(this.count);
    for (let f = 0; f < this.count; f++) {
      const [a, b, c] = [3 * corners[3 * f], 3 * corners[3 * f + 1], 3 * corners[3 * f + 2]];
      const [ux, uy, uz] = [0, 1, 2].map((k) => points[b + k] - points[a + k]);
      const [vx, vy, vz] = [0, 1, 2].map((k) => points[c + k] - points[a + k]);
      const [x, y, z] = [uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx];
      out[f] = 0.72 + 0.28 * (0.55 * z - 0.45 * x - 0.7 * y) / (Math.hypot(x, y, z) || 1);
    }
    return out;
  }

  // A layer with a packed colour (0xAABBGGRR) for each face, and how many faces have each class.
  layer({ name, labels, classes, colours }) {
    const table = new Uint32Array(this.count), counts = new Map();
    const put = (f, rgb) => {
      const [r, g, b] = rgb.map((value) => Math.min(255, value * this.shade[f]));
      table[f] = (255 << 24 | b << 16 | g << 8 | r) >>> 0;
    };
    if (colours) {
      const raw = bytes(colours);
      for (let f = 0; f < this.count; f++) put(f, [raw[3 * f], raw[3 * f + 1], raw[3 * f + 2]]);
      return { name, table, counts, values: null, classes: [] };
    }
    const values = new Int8Array(bytes(labels).buffer);
    const rgb = new Map(classes.map(({ id, color }) => [id, [1, 3, 5].map((k) => parseInt(color.slice(k, k + 2), 16))]));
    for (let f = 0; f < this.count; f++) {
      put(f, rgb.get(values[f]));
      counts.set(values[f], (counts.get(values[f]) || 0) + 1);
    }
    return { name, table, counts, values, classes };
  }

  build() {
    this.controls = make("div", { className: "controls" });
    for (const [name, view] of Object.entries(VIEWS)) {
      const button = make("button", { type: "button", textContent: name });
      button.addEventListener("click", () => { Object.assign(this.view, BEGIN, view); this.draw(); });
      this.controls.append(button);
    }
    this.row = make("div", { className: "panels" });
    this.panels.forEach((panel, k) => {
      const options = this.layers.map((layer, number) => make("option", { value: number, textContent: layer.name }));
      if (k) options.push(make("option", { value: NOTHING, textContent: "nothing" }));
      panel.select = make("select", { value: panel.shown }, ...options);
      panel.select.value = panel.shown;
      panel.select.setAttribute("aria-label", k ? "shown to the right" : "shown to the left");
      panel.select.addEventListener("change", () => { panel.shown = +panel.select.value; this.layout(); });
      panel.canvas = make("canvas", { tabIndex: 0 });
      panel.canvas.setAttribute("role", "img");
      panel.legend = make("div", { className: "key" });
      panel.node = make("div", {}, panel.canvas, panel.legend);
      this.row.append(panel.node);
      this.controls.append(panel.select);
      this.interact(panel.canvas);
    });
    this.readout = make("p", { className: "hint" });
    this.host.append(this.controls, this.row, this.readout);
  }

  interact(canvas) {
    let last = null;
    canvas.addEventListener("pointerdown", (event) => { canvas.setPointerCapture(event.pointerId); canvas.focus(); last = event; });
    canvas.addEventListener("pointerup", () => { last = null; });
    canvas.addEventListener("pointermove", (event) => {
      if (!last || !event.buttons) { this.tell(event, canvas); return; }
      const [dx, dy] = [event.clientX - last.clientX, event.clientY - last.clientY];
      last = event;
      if (event.shiftKey) { this.view.right += dx / this.scale; this.view.up -= dy / this.scale; }
      else this.turn(-0.008 * dx, 0.008 * dy);
      this.draw();
    });
    // A page is scrolled past a mesh that nobody has clicked.
    canvas.addEventListener("wheel", (event) => {
      if (document.activeElement !== canvas) return;
      event.preventDefault();
      this.zoom(Math.exp(-0.0015 * event.deltaY));
    }, { passive: false });
    const keys = { ArrowLeft: [-0.12, 0], ArrowRight: [0.12, 0], ArrowUp: [0, 0.1], ArrowDown: [0, -0.1] };
    canvas.addEventListener("keydown", (event) => {
      if (keys[event.key]) { this.turn(...keys[event.key]); this.draw(); }
      else if (event.key === "+" || event.key === "-") this.zoom(event.key === "+" ? 1.25 : 0.8);
      else if (event.key === "0") { this.view = { ...BEGIN }; this.draw(); }
      else return;
      event.preventDefault();
    });
  }

  turn(yaw, pitch) {
    this.view.yaw += yaw;
    this.view.pitch = Math.max(-0.2, Math.min(Math.PI / 2, this.view.pitch + pitch));
  }

  zoom(factor) {
    this.view.zoom = Math.max(0.5, Math.min(40, this.view.zoom * factor));
    this.draw();
  }

  layout() {
    const open = this.panels.filter((panel) => panel.shown !== NOTHING);
    const room = Math.max(200, (this.row.clientWidth || this.host.clientWidth || 900) / open.length - 10);
    const height = Math.min(MOST_HEIGHT, Math.round(0.8 * room));
    this.density = Math.min(2, window.devicePixelRatio || 1);
    this.size = [Math.round(room * this.density), Math.round(height * this.density)];
    this.numbers = new Int32Array(this.size[0] * this.size[1]);
    this.depth = new Float32Array(this.numbers.length);
    for (const panel of this.panels) {
      panel.node.hidden = panel.shown === NOTHING;
      [panel.canvas.width, panel.canvas.height] = this.size;
      Object.assign(panel.canvas.style, { width: `${room}px`, height: `${height}px` });
      if (panel.shown !== NOTHING) this.describe(panel);
    }
    this.draw();
  }

  describe(panel) {
    const layer = this.layers[panel.shown];
    panel.canvas.setAttribute("aria-label", `${layer.name}: ${this.count} faces`);
    panel.legend.replaceChildren(...layer.classes.filter(({ id }) => layer.counts.get(id)).map(({ id, name, color }) => {
      const swatch = make("span", { className: "swatch" });
      swatch.style.background = color;
      return make("span", {}, swatch, `${name} ${layer.counts.get(id)}`);
    }));
  }

  draw() {
    const [w, h] = this.size, { yaw, pitch, zoom, right, up } = this.view, { extent } = this.data;
    this.scale = zoom * Math.min(w / (Math.hypot(extent[0], extent[1]) * 1.02), h / (0.78 * Math.hypot(...extent))) / this.density;
    const s = this.scale * this.density, [cy, sy, cp, sp] = [Math.cos(yaw), Math.sin(yaw), Math.cos(pitch), Math.sin(pitch)];
    const { points } = this, placed = new Float32Array(points.length);
    for (let i = 0; i < points.length; i += 3) {
      const x = cy * points[i] + sy * points[i + 1], y = cy * points[i + 1] - sy * points[i];
      placed[i] = w / 2 + s * (x + right);
      placed[i + 1] = h / 2 - s * (y * sp + points[i + 2] * cp + up);
      placed[i + 2] = points[i + 2] * sp - y * cp;
    }
    this.fill(placed, w, h);
    for (const panel of this.panels) {
      if (panel.shown === NOTHING) continue;
      const { table } = this.layers[panel.shown], g = panel.canvas.getContext("2d"), image = g.createImageData(w, h);
      const pixels = new Uint32Array(image.data.buffer);
      for (let k = 0; k < pixels.length; k++) if (this.numbers[k] >= 0) pixels[k] = table[this.numbers[k]];
      g.putImageData(image, 0, 0);
    }
  }

  // The number of the nearest face at each pixel's centre, by signed areas (Pineda, SIGGRAPH 1988).
  fill(placed, w, h) {
    const { numbers, depth, corners } = this;
    numbers.fill(-1);
    depth.fill(-Infinity);
    for (let f = 0; f < this.count; f++) {
      const [a, b, c] = [3 * corners[3 * f], 3 * corners[3 * f + 1], 3 * corners[3 * f + 2]];
      const ax = placed[a], ay = placed[a + 1], bx = placed[b], by = placed[b + 1], cx = placed[c], cy = placed[c + 1];
      const area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax);
      if (Math.abs(area) < 1e-9) continue;
      const first = Math.max(0, Math.ceil(Math.min(ax, bx, cx) - 0.5)), last = Math.min(w - 1, Math.floor(Math.max(ax, bx, cx) - 0.5));
      const top = Math.max(0, Math.ceil(Math.min(ay, by, cy) - 0.5)), bottom = Math.min(h - 1, Math.floor(Math.max(ay, by, cy) - 0.5));
      const ub = (cy - ay) / area, vb = -(cx - ax) / area, uc = -(by - ay) / area, vc = (bx - ax) / area;
      const za = placed[a + 2], zb = placed[b + 2] - za, zc = placed[c + 2] - za;
      for (let row = top; row <= bottom; row++) {
        const y = row + 0.5 - ay;
        for (let column = first, k = row * w + first; column <= last; column++, k++) {
          const x = column + 0.5 - ax, wb = ub * x + vb * y, wc = uc * x + vc * y;
          if (wb < -1e-6 || wc < -1e-6 || wb + wc > 1 + 1e-6) continue;
          const z = za + wb * zb + wc * zc;
          if (z > depth[k]) { depth[k] = z; numbers[k] = f; }
        }
      }
    }
  }

  // What is under the pointer.
  tell(event, canvas) {
    const box = canvas.getBoundingClientRect(), [w, h] = this.size;
    const column = Math.floor((event.clientX - box.left) / box.width * w), row = Math.floor((event.clientY - box.top) / box.height * h);
    const face = column >= 0 && column < w && row >= 0 && row < h ? this.numbers[row * w + column] : -1;
    if (face < 0) { this.readout.textContent = ""; return; }
    const said = this.layers.filter((layer) => layer.values).map((layer) =>
      `${layer.name}: ${layer.classes.find(({ id }) => id === layer.values[face]).name}`);
    this.readout.textContent = said.join(" · ");
  }
}

// The script stands behind its own viewer; one that was drawn already is left alone.
for (const host of document.querySelectorAll(".mesh-view:not([data-drawn])")) {
  host.dataset.drawn = "";
  try {
    new Mesh(host, JSON.parse(host.querySelector("script").textContent));
  } catch (error) {
    host.append(make("p", { className: "problem", textContent: `The mesh cannot be shown: ${error.message}` }));
  }
}
