// Three planes through a volume: xy, and beside and below it yz and xz, to scale. Outlines lie between voxels.

const GAP = 10, MOST_HEIGHT = 620;
const AXES = ["z", "y", "x"];

const bytes = (text) => inflate(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)));

const make = (name, properties = {}, ...children) => {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
};

class Slices {
  constructor(host, data) {
    Object.assign(this, { host, data, at: [...data.start], map: 0, on: data.outlines.map(() => true) });
    this.maps = data.maps.map((map) => bytes(map.grey));
    this.labels = data.outlines.map((outline) => bytes(outline.labels));
    // A view: which axes go right and down, and which one is cut.
    this.views = [[2, 1, 0], [0, 1, 2], [2, 0, 1]].map(([right, down, cut]) => ({ right, down, cut }));
    this.build();
    this.layout();
    new ResizeObserver(() => this.layout()).observe(this.host);
  }

  build() {
    const { data } = this;
    this.planes = make("div", { className: "planes" });
    for (const view of this.views) {
      const name = `${AXES[view.right]}${AXES[view.down]}`;
      view.canvas = make("canvas", { className: name });
      view.canvas.setAttribute("role", "img");
      view.canvas.setAttribute("aria-label", `plane ${name}`);
      view.small = make("canvas", { width: data.shape[view.right], height: data.shape[view.down] });
      const move = (event) => {
        const box = view.canvas.getBoundingClientRect();
        const part = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
        [view.right, view.down].forEach((axis, k) => this.set(axis, Math.floor(part[k] * data.shape[axis])));
        this.draw();
      };
      view.canvas.addEventListener("pointerdown", (event) => { view.canvas.setPointerCapture(event.pointerId); move(event); });
      view.canvas.addEventListener("pointermove", (event) => { if (event.buttons) move(event); });
      this.planes.append(view.canvas);
    }
    this.controls = make("div", { className: "controls" });
    this.sliders = AXES.map((name, axis) => {
      const slider = make("input", { type: "range", min: 0, max: data.shape[axis] - 1, step: 1 });
      slider.addEventListener("input", () => { this.set(axis, +slider.value); this.draw(); });
      const shown = make("output");
      this.controls.append(make("label", {}, `${name} `, slider, shown));
      return { slider, shown };
    });
    if (data.maps.length > 1) {
      const select = make("select", {}, ...data.maps.map((map, k) => make("option", { value: k, textContent: map.name })));
      select.addEventListener("change", () => { this.map = +select.value; this.draw(); });
      this.controls.append(make("label", {}, "shown ", select));
    }
    data.outlines.forEach((outline, k) => {
      const box = make("input", { type: "checkbox", checked: true });
      box.addEventListener("change", () => { this.on[k] = box.checked; this.draw(); });
      const swatch = make("span", { className: "swatch" });
      swatch.style.background = outline.color;
      this.controls.append(make("label", {}, box, swatch, outline.name));
    });
    this.readout = make("p", { className: "hint" });
    this.host.append(this.controls, this.planes, this.readout);
  }

  set(axis, place) { this.at[axis] = Math.max(0, Math.min(this.data.shape[axis] - 1, place)); }

  // One scale for all planes, so that lengths compare.
  layout() {
    const { shape, size } = this.data;
    const [depth, height, width] = shape.map((n, k) => n * size[k]);
    const room = Math.max(240, this.planes.clientWidth || this.host.clientWidth || 900);
    this.scale = Math.min((room - GAP) / (width + depth), (MOST_HEIGHT - GAP) / (height + depth));
    this.density = window.devicePixelRatio || 1;
    for (const { canvas, right, down } of this.views) {
      const [w, h] = [right, down].map((axis) => Math.max(1, shape[axis] * size[axis] * this.scale));
      canvas.width = Math.round(w * this.density);
      canvas.height = Math.round(h * this.density);
      Object.assign(canvas.style, { width: `${w}px`, height: `${h}px` });
    }
    this.planes.style.gridTemplateColumns = `${width * this.scale}px ${depth * this.scale}px`;
    this.draw();
  }

  // Values of a plane, row by row.
  plane(volume, { right, down, cut }) {
    const { shape } = this.data, strides = [shape[1] * shape[2], shape[2], 1];
    const [w, h] = [shape[right], shape[down]], out = new Uint8Array(w * h);
    for (let r = 0, k = 0; r < h; r++) {
      let from = this.at[cut] * strides[cut] + r * strides[down];
      for (let c = 0; c < w; c++, k++, from += strides[right]) out[k] = volume[from];
    }
    return out;
  }

  draw() {
    for (const view of this.views) this.drawView(view);
    const { shape, size, unit, maps, outlines, steps } = this.data;
    AXES.forEach((name, axis) => {
      const { slider, shown } = this.sliders[axis];
      slider.value = this.at[axis];
      shown.textContent = `${(this.at[axis] * size[axis]).toFixed(2)} ${unit}`;
      slider.setAttribute("aria-valuetext", `voxel ${this.at[axis] * steps[axis]}`);
    });
    const [z, y, x] = this.at, place = (z * shape[1] + y) * shape[2] + x;
    const map = maps[this.map], value = map.low + (this.maps[this.map][place] / 255) * (map.high - map.low);
    const said = outlines.map((outline, k) => {
      const label = this.labels[k][place];
      return `${outline.name} ${label === 255 ? "not judged" : label}`;
    });
    const voxel = this.at.map((p, axis) => p * steps[axis]).join(", ");
    this.readout.textContent = [`voxel ${voxel} (z, y, x)`, `${map.name} ${+value.toPrecision(4)}`, ...said].join(" · ");
  }

  drawView(view) {
    const { shape } = this.data, { canvas, small, right, down } = view;
    const [w, h] = [shape[right], shape[down]];
    const grey = this.plane(this.maps[this.map], view);
    const context = small.getContext("2d"), image = context.createImageData(w, h);
    for (let k = 0; k < grey.length; k++) {
      image.data[4 * k] = image.data[4 * k + 1] = image.data[4 * k + 2] = grey[k];
      image.data[4 * k + 3] = 255;
    }
    context.putImageData(image, 0, 0);
    const g = canvas.getContext("2d"), [sx, sy] = [canvas.width / w, canvas.height / h];
    g.imageSmoothingEnabled = false;
    g.drawImage(small, 0, 0, canvas.width, canvas.height);
    this.labels.forEach((labels, k) => {
      if (!this.on[k]) return;
      g.strokeStyle = this.data.outlines[k].color;
      g.lineWidth = (k ? 1.2 : 2) * this.density;
      g.stroke(this.borders(this.plane(labels, view), w, h, sx, sy));
    });
    g.strokeStyle = "rgb(255 255 255 / 45%)";
    g.lineWidth = this.density;
    g.beginPath();
    const [cx, cy] = [(this.at[right] + 0.5) * sx, (this.at[down] + 0.5) * sy];
    g.moveTo(cx, 0); g.lineTo(cx, canvas.height);
    g.moveTo(0, cy); g.lineTo(canvas.width, cy);
    g.stroke();
    g.fillStyle = "#ffffff";
    g.font = `600 ${12 * this.density}px system-ui, sans-serif`;
    g.fillText(AXES[right] + AXES[down], 6 * this.density, 15 * this.density);
  }

  borders(labels, w, h, sx, sy) {
    const path = new Path2D();
    for (let r = 0, k = 0; r < h; r++) {
      for (let c = 0; c < w; c++, k++) {
        if (c + 1 < w && labels[k] !== labels[k + 1]) { path.moveTo((c + 1) * sx, r * sy); path.lineTo((c + 1) * sx, (r + 1) * sy); }
        if (r + 1 < h && labels[k] !== labels[k + w]) { path.moveTo(c * sx, (r + 1) * sy); path.lineTo((c + 1) * sx, (r + 1) * sy); }
      }
    }
    return path;
  }
}

// The script stands behind its own viewer; one that was drawn already is left alone.
for (const host of document.querySelectorAll(".slices:not([data-drawn])")) {
  host.dataset.drawn = "";
  try {
    new Slices(host, JSON.parse(host.querySelector("script").textContent));
  } catch (error) {
    host.append(make("p", { className: "problem", textContent: `The stack cannot be shown: ${error.message}` }));
  }
}
