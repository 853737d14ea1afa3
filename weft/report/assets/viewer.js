// Weft's event display: a rotatable cloud of voxels in its detector box, drawn by a small software rasteriser
// (shaded discs with a depth buffer) on a 2-D canvas, so that it needs neither WebGL nor a library nor the network.
(() => {
  "use strict";

  const NONE = -1;
  const SHADES = 24;
  const MAX_RADIUS = 40;
  // Eleven samples of the cividis colour map (Nuñez et al., 2018), legible with colour-vision deficiency.
  const CHARGE_MAP = ["#00224e", "#0c3471", "#35456c", "#505a6d", "#666970", "#7d7c78", "#948e77", "#aea371",
    "#c8b866", "#e5cf52", "#fee838"];

  const decode = (text, Type) => {
    const raw = atob(text);
    const bytes = new Uint8Array(raw.length);
    for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
    return new Type(bytes.buffer);
  };
  const rgb = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
  const clamp = (x, low, high) => Math.min(high, Math.max(low, x));
  const element = (tag, attributes = {}, ...children) => {
    const node = document.createElement(tag);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    node.append(...children);
    return node;
  };
  const count = (n) => n.toLocaleString("en").replaceAll(",", "\u2009");

  // ---------------------------------------------------------------------------------------------- colours and discs

  const shadeTable = (colors) => {
    const table = new Uint32Array(colors.length * SHADES);
    colors.forEach((hex, c) => {
      const [r, g, b] = rgb(hex);
      for (let s = 0; s < SHADES; s++) {
        const light = 0.5 + (0.62 * s) / (SHADES - 1);
        const glow = Math.max(0, light - 1) * 130;
        const channel = (v) => clamp(Math.round(v * Math.min(light, 1) + glow), 0, 255);
        table[c * SHADES + s] = (255 << 24) | (channel(b) << 16) | (channel(g) << 8) | channel(r);
      }
    });
    return table;
  };

  const mapColors = (stops, n) => Array.from({ length: n }, (_, i) => {
    const t = (i / (n - 1)) * (stops.length - 1);
    const k = Math.min(stops.length - 2, Math.floor(t));
    const [a, b] = [rgb(stops[k]), rgb(stops[k + 1])];
    return "#" + a.map((v, j) => Math.round(v + (b[j] - v) * (t - k)).toString(16).padStart(2, "0")).join("");
  });

  const discs = [];
  const disc = (radius) => {
    if (discs[radius]) return discs[radius];
    const dx = [], dy = [], dz = [], shade = [];
    const edge = radius + 0.35;
    for (let y = -radius; y <= radius; y++) {
      for (let x = -radius; x <= radius; x++) {
        const d2 = x * x + y * y;
        if (d2 > edge * edge) continue;
        const z = Math.sqrt(Math.max(0, edge * edge - d2)) / edge;
        const light = clamp(0.28 * z + 0.72 * Math.max(0, (-0.42 * x) / edge - (0.55 * y) / edge + 0.72 * z), 0, 1);
        dx.push(x); dy.push(y); dz.push(z * radius);
        shade.push(Math.round(light * (SHADES - 1)));
      }
    }
    discs[radius] = {
      dx: Int16Array.from(dx), dy: Int16Array.from(dy), dz: Float32Array.from(dz), shade: Uint8Array.from(shade),
    };
    return discs[radius];
  };

  // -------------------------------------------------------------------------------------------------------- events

  class DisplayEvent {
    constructor(payload) {
      Object.assign(this, { title: payload.title, subtitle: payload.subtitle || "", label: payload.label || "" });
      this.origin = payload.origin; this.size = payload.size; this.shape = payload.shape;
      this.voxels = decode(payload.voxels, Uint16Array);
      this.charge = decode(payload.charge, Float32Array);
      this.truth = payload.truth ? decode(payload.truth, Int8Array) : null;
      this.predicted = payload.predicted ? decode(payload.predicted, Int8Array) : null;
      this.score = payload.score ? decode(payload.score, Uint8Array) : null;
      this.n = this.charge.length;
      this.extent = this.shape.map((s, k) => s * this.size[k]);
      this.low = this.origin;
      this.center = this.low.map((x, k) => x + this.extent[k] / 2);
      this.radius = Math.hypot(...this.extent) / 2;
      this.points = new Float32Array(3 * this.n);
      for (let i = 0; i < 3 * this.n; i++) {
        const k = i % 3;
        this.points[i] = this.origin[k] + (this.voxels[i] + 0.5) * this.size[k];
      }
      // "Fit" frames the middle 96 % of the voxels, so that lone deposits far away do not count.
      const ranges = [0, 1, 2].map((k) => {
        const sorted = this.points.filter((_, i) => i % 3 === k).sort();
        return [0.02, 0.98].map((q) => (this.n ? sorted[Math.floor(q * (this.n - 1))] : 0));
      });
      this.chargeCenter = this.n ? ranges.map(([a, b]) => (a + b) / 2) : this.center;
      this.chargeRadius = this.n ? Math.max(Math.hypot(...ranges.map(([a, b]) => b - a)) / 2, 8 * this.size[0]) : this.radius;
      const sorted = Float32Array.from(this.charge).sort();
      const at = (q) => (this.n ? Math.max(sorted[Math.min(this.n - 1, Math.floor(q * this.n))], 1e-6) : 1);
      this.median = at(0.5); this.lowCharge = at(0.02); this.highCharge = Math.max(at(0.98), this.lowCharge * 1.01);
      this.weight = Float32Array.from(this.charge, (q) => clamp(Math.cbrt(Math.max(q, 0) / this.median), 0.65, 2));
      const span = Math.log(this.highCharge / this.lowCharge);
      this.chargeColor = Uint8Array.from(this.charge, (q) =>
        Math.round(255 * clamp(Math.log(Math.max(q, 1e-9) / this.lowCharge) / span, 0, 1)));
    }
    get modes() {
      const modes = [];
      if (this.truth && this.predicted) modes.push(["both", "Side by side"]);
      if (this.truth) modes.push(["truth", "Truth"]);
      if (this.predicted) modes.push(["prediction", "Prediction"]);
      if (this.truth && this.predicted) modes.push(["errors", "Errors"]);
      if (!modes.length) modes.push(["charge", "Charge"]);
      return modes;
    }
    labels(mode) { return mode === "truth" ? this.truth : this.predicted; }
    wrong(i) { return this.truth[i] >= 0 && this.truth[i] !== this.predicted[i]; }
  }

  // ------------------------------------------------------------------------------------------------------ renderer

  const rotation = ({ yaw, pitch }) => {
    const [cy, sy, cp, sp] = [Math.cos(yaw), Math.sin(yaw), Math.cos(pitch), Math.sin(pitch)];
    // Screen right, screen up and towards the reader; y of the detector points up.
    return [cy, 0, -sy, -sp * sy, cp, -sp * cy, cp * sy, sp, cp * cy];
  };

  const niceStep = (span) => {
    const rough = span / 4;
    const power = 10 ** Math.floor(Math.log10(rough));
    return power * [1, 2, 5, 10].find((m) => m * power >= rough);
  };

  class Renderer {
    constructor(frame, cloud) {
      this.frame = frame; this.cloud = cloud;
      this.frameContext = frame.getContext("2d");
      this.context = cloud.getContext("2d");
      if (!this.context || !this.frameContext) throw new Error("this browser has no 2-D canvas");
    }
    resize(width, height, density) {
      const [w, h] = [Math.max(1, Math.round(width * density)), Math.max(1, Math.round(height * density))];
      if (this.width === w && this.height === h) return;
      for (const canvas of [this.frame, this.cloud]) { canvas.width = w; canvas.height = h; }
      Object.assign(this, { width: w, height: h, density });
      this.image = this.context.createImageData(w, h);
      this.pixels = new Uint32Array(this.image.data.buffer);
      this.depth = new Float32Array(w * h);
      this.ids = new Int32Array(w * h);
    }
    camera(event, view, { left, top, width, height }) {
      const center = view.fit ? event.chargeCenter : event.center;
      const radius = view.fit ? event.chargeRadius : event.radius;
      const room = view.frame === false ? 1.0 : 1.18;
      const scale = (view.zoom * Math.min(width, height)) / (2 * radius * room) * (view.frame === false ? 1 : 1.06);
      return {
        R: rotation(view), center, scale, distance: 5.5 * radius, flat: view.flat,
        x0: left + width / 2 + view.panX * this.density, y0: top + height / 2 + view.panY * this.density,
      };
    }
    project(camera, x, y, z) {
      const { R, center, scale, distance } = camera;
      const [a, b, c] = [x - center[0], y - center[1], z - center[2]];
      const depth = R[6] * a + R[7] * b + R[8] * c;
      const f = scale * (camera.flat ? 1 : distance / Math.max(distance - depth, 0.1 * distance));
      return [camera.x0 + f * (R[0] * a + R[1] * b + R[2] * c), camera.y0 - f * (R[3] * a + R[4] * b + R[5] * c), depth, f];
    }
    begin() {
      this.pixels.fill(0); this.depth.fill(-Infinity); this.ids.fill(-1);
      this.frameContext.clearRect(0, 0, this.width, this.height);
    }
    end() { this.context.putImageData(this.image, 0, 0); }

    // paint(i) gives [row of the shade table, factor of the radius] or null for a hidden voxel.
    points(event, camera, table, paint, { left, top, width, height }) {
      const { pixels, depth, ids } = this;
      const stride = this.width, right = left + width, bottom = top + height;
      const voxel = Math.max(...event.size);
      const least = 0.9 * this.density;
      for (let i = 0; i < event.n; i++) {
        const style = paint(i);
        if (!style) continue;
        const [px, py, pz, f] = this.project(camera, event.points[3 * i], event.points[3 * i + 1], event.points[3 * i + 2]);
        const radius = Math.round(clamp(Math.max(0.62 * voxel * f, least) * style[1], 1, MAX_RADIUS));
        const x0 = Math.round(px), y0 = Math.round(py);
        if (x0 + radius < left || x0 - radius >= right || y0 + radius < top || y0 - radius >= bottom) continue;
        const { dx, dy, dz, shade } = disc(radius);
        const row = style[0] * SHADES;
        for (let k = 0; k < dx.length; k++) {
          const x = x0 + dx[k], y = y0 + dy[k];
          if (x < left || x >= right || y < top || y >= bottom) continue;
          const at = y * stride + x;
          const z = pz + dz[k] / f;
          if (z <= depth[at]) continue;
          depth[at] = z; ids[at] = i; pixels[at] = table[row + shade[k]];
        }
      }
    }

    box(event, camera, colors, { left, top, width, height }, title) {
      const g = this.frameContext, d = this.density, { low, extent } = event;
      const high = low.map((x, k) => x + extent[k]);
      const facing = [camera.R[6], camera.R[7], camera.R[8]];
      const back = facing.map((v, k) => (v > 0 ? low[k] : high[k]));
      g.save();
      g.beginPath(); g.rect(left, top, width, height); g.clip();
      g.lineWidth = 0.8 * d;
      const line = (a, b) => {
        const [x1, y1] = this.project(camera, ...a), [x2, y2] = this.project(camera, ...b);
        g.beginPath(); g.moveTo(x1, y1); g.lineTo(x2, y2); g.stroke();
      };
      const ticks = low.map((x, k) => {
        const step = niceStep(extent[k]);
        const list = [];
        for (let t = Math.ceil(x / step - 1e-6) * step; t <= high[k] + 1e-6 * step; t += step) list.push(Math.abs(t) < 1e-9 ? 0 : t);
        return list;
      });
      g.strokeStyle = colors.grid;
      for (let k = 0; k < 3; k++) {
        const [i, j] = [(k + 1) % 3, (k + 2) % 3];
        for (const [along, across] of [[i, j], [j, i]]) {
          for (const t of ticks[along]) {
            const a = [], b = [];
            a[k] = b[k] = back[k]; a[along] = b[along] = t; a[across] = low[across]; b[across] = high[across];
            line(a, b);
          }
        }
      }
      g.strokeStyle = colors.edge;
      for (let k = 0; k < 3; k++) {
        const [i, j] = [(k + 1) % 3, (k + 2) % 3];
        for (const u of [low[i], high[i]]) for (const v of [low[j], high[j]]) {
          if (u !== back[i] && v !== back[j]) continue;
          const a = [], b = [];
          a[i] = b[i] = u; a[j] = b[j] = v; a[k] = low[k]; b[k] = high[k];
          line(a, b);
        }
      }
      // Each axis is labelled along the silhouette edge of the box that lies lowest (x, z) or most to the left (y).
      g.fillStyle = colors.text;
      g.font = `${11 * d}px system-ui, sans-serif`;
      g.textAlign = "center"; g.textBaseline = "middle";
      const [cx, cy] = this.project(camera, ...event.center);
      for (let k = 0; k < 3; k++) {
        const [i, j] = [(k + 1) % 3, (k + 2) % 3];
        let best = null;
        for (const u of [low[i], high[i]]) for (const v of [low[j], high[j]]) {
          if ((u === back[i]) === (v === back[j])) continue;
          const m = []; m[i] = u; m[j] = v; m[k] = (low[k] + high[k]) / 2;
          const [x, y] = this.project(camera, ...m);
          const rank = k === 1 ? -x : y;
          if (!best || rank > best.rank) best = { u, v, x, y, rank };
        }
        if (!best) continue;
        const ends = [low[k], high[k]].map((t) => { const p = []; p[i] = best.u; p[j] = best.v; p[k] = t; return this.project(camera, ...p); });
        const length = Math.hypot(ends[1][0] - ends[0][0], ends[1][1] - ends[0][1]);
        if (length < 40 * d) continue;
        // The normal of the projected edge, away from the middle of the box.
        let [nx, ny] = [-(ends[1][1] - ends[0][1]) / length, (ends[1][0] - ends[0][0]) / length];
        if (nx * (best.x - cx) + ny * (best.y - cy) < 0) [nx, ny] = [-nx, -ny];
        const every = Math.max(1, Math.ceil((ticks[k].length * 34 * d) / length));
        ticks[k].forEach((t, q) => {
          if (q % every) return;
          const p = []; p[i] = best.u; p[j] = best.v; p[k] = t;
          const [x, y] = this.project(camera, ...p);
          g.fillText(`${+t.toFixed(3)}`.replace("-", "\u2212"), x + 15 * d * nx, y + 13 * d * ny);
        });
        g.font = `600 ${11.5 * d}px system-ui, sans-serif`;
        g.fillText(`${"xyz"[k]} [cm]`, best.x + 46 * d * nx, best.y + 32 * d * ny);
        g.font = `${11 * d}px system-ui, sans-serif`;
      }
      if (title) {
        g.textAlign = "left"; g.textBaseline = "top";
        g.font = `600 ${13 * d}px system-ui, sans-serif`;
        g.fillText(title, left + 14 * d, top + 12 * d);
      }
      g.restore();
    }
  }

  // -------------------------------------------------------------------------------------------------------- viewer

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
      this.options = { mode: this.events[0].modes[0][0], color: "class", sized: true };
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
      for (const [key, name] of [["class", "Class"], ["charge", "Charge"]]) {
        this.colorBy.append(this.button(name, "color", key, () => { this.options.color = key; this.refresh(); }));
      }
      for (const [name, view] of Object.entries(VIEWS)) {
        this.viewBar.append(this.button(name, "view", name, () => this.fly({ ...view, panX: 0, panY: 0, zoom: 1, fit: this.view.fit })));
      }
      this.fitButton = this.button("Fit", "fit", "fit", () => this.fly({ fit: !this.view.fit, zoom: 1, panX: 0, panY: 0 }));
      this.fitButton.title = "Fit the view to the charge or to the detector";
      this.sizeButton = this.button("Size", "size", "size", () => { this.options.sized = !this.options.sized; this.refresh(); });
      this.sizeButton.title = "Size of a point follows its charge";
      this.fullButton = this.button("Full screen", "full", "full", () => {
        if (document.fullscreenElement) document.exitFullscreen(); else this.root.requestFullscreen();
      });
      fold.append(element("div", { class: "segmented" }, this.fitButton, this.sizeButton));
      if (document.fullscreenEnabled) fold.append(element("div", { class: "segmented" }, this.fullButton));
      this.strip = element("div", { class: "strip", role: "group", "aria-label": "Events" });
      this.root.append(element("div", { class: "heading" }, this.title, " ", this.subtitle), fold, this.stage, this.legend,
        element("p", { class: "hint" }, "Drag to rotate, shift-drag to move, click and scroll or use + and \u2212 to zoom, arrow keys to turn, 0 to reset."));
      if (this.events.length > 1) this.root.append(this.strip);
      this.renderer = new Renderer(this.frame, this.cloud);
      this.table = shadeTable([...this.classes.map((c) => c.color), "#000000"]);
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
      this.title.textContent = this.event.title;
      this.subtitle.textContent = this.event.subtitle;
      this.refresh();
    }

    refresh() {
      const press = (node, on) => node.setAttribute("aria-pressed", String(on));
      for (const node of this.modes.children) press(node, node.dataset.mode === this.options.mode);
      for (const node of this.colorBy.children) press(node, node.dataset.color === this.options.color);
      press(this.sizeButton, this.options.sized);
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
      const tallies = shown.map((mode) => counts(event.labels(mode), options.mode === "errors" ? (i) => event.wrong(i) : all));
      const items = [];
      for (const { id, name, color } of this.classes) {
        if (!tallies.some((tally) => tally.get(id))) continue;
        items.push(this.legendItem(id, name, color, tallies.map((tally) => count(tally.get(id) || 0)).join(" \u2192 ")));
      }
      if (options.mode === "errors") {
        const right = event.n - [...tallies[0].values()].reduce((a, b) => a + b, 0);
        const name = event.truth.includes(NONE) ? "correct or without label" : "correct";
        items.unshift(this.legendItem("right", name, this.colors().faint, count(right)));
        items.push(element("span", { class: "note" }, "wrong voxels in the colour of their predicted class"));
      } else if (options.mode === "both") {
        items.push(element("span", { class: "note" }, "voxels: truth \u2192 prediction"));
      }
      if (options.color === "charge" || options.mode === "charge") {
        const digits = (q) => (q >= 10 ? q.toFixed(0) : q.toPrecision(2));
        items.push(element("span", { class: "scale" }, `${digits(event.lowCharge)} MeV`,
          element("span", { class: "ramp", style: `background:linear-gradient(90deg,${CHARGE_MAP.join()})` }), `${digits(event.highCharge)} MeV`));
      }
      this.legend.replaceChildren(...items);
      const mode = this.event.modes.find(([key]) => key === options.mode)[1];
      this.cloud.setAttribute("aria-label", `${event.title}, ${mode.toLowerCase()}: ${count(event.n)} voxels in three dimensions. ` +
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
      const table = byCharge ? this.chargeTable : this.table;
      if (!byCharge) table.set(shadeTable([colors.faint]), this.classes.length * SHADES);
      renderer.begin();
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
      });
      renderer.end();
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
        const mode = event.predicted ? "prediction" : event.truth ? "truth" : "charge";
        const table = mode === "charge" ? this.chargeTable : this.table;
        const area = { left: 0, top: 0, width: renderer.width, height: renderer.height };
        const camera = renderer.camera(event, view, area);
        const hidden = this.hidden; this.hidden = new Set();
        renderer.points(event, camera, table, this.painter(event, mode, "class"), area);
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
      const rows = [["position", `${xyz} cm`], ["voxel", [...event.voxels.slice(3 * i, 3 * i + 3)].join(", ")],
        ["charge", `${event.charge[i].toPrecision(3)} MeV`]];
      if (event.truth) rows.push(["truth", named(event.truth[i])]);
      if (event.predicted) rows.push(["predicted", named(event.predicted[i])]);
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
})();
