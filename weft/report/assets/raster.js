// A small software rasteriser: shaded discs with a depth buffer on a 2-D canvas, and the detector box around them.

const SHADES = 24;
const MAX_RADIUS = 40;
// Eleven samples of the cividis colour map (Nuñez et al., 2018), legible with colour-vision deficiency.
const CHARGE_MAP = ["#00224e", "#0c3471", "#35456c", "#505a6d", "#666970", "#7d7c78", "#948e77", "#aea371",
  "#c8b866", "#e5cf52", "#fee838"];

const rgb = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));

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

  // Rings for points, crosses for vertices, over the voxels: a mark that is hidden by charge says nothing.
  marks(markers, camera, colorOf, { left, top, width, height }) {
    const g = this.context, d = this.density;
    g.save();
    g.beginPath(); g.rect(left, top, width, height); g.clip();
    for (const { kind, positions, classes } of markers) {
      for (let k = 0; k < classes.length; k++) {
        const [x, y] = this.project(camera, positions[3 * k], positions[3 * k + 1], positions[3 * k + 2]);
        g.beginPath();
        if (kind === "vertex") {
          for (const [u, v] of [[6, 6], [6, -6]]) { g.moveTo(x - u * d, y - v * d); g.lineTo(x + u * d, y + v * d); }
        } else {
          g.arc(x, y, 5 * d, 0, 2 * Math.PI);
        }
        for (const [line, color] of [[4.5, "#ffffff"], [2.2, colorOf(classes[k])]]) { g.lineWidth = line * d; g.strokeStyle = color; g.stroke(); }
      }
    }
    g.restore();
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
