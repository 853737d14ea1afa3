// One event: its arrays out of the page, the frame around it, and what can be shown of it.

const clamp = (x, low, high) => Math.min(high, Math.max(low, x));
const decode = (text, Type) => {
  if (!text) return new Type(0);
  const raw = atob(text);
  const bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  return new Type(inflate(bytes).buffer);
};

class DisplayEvent {
  constructor(payload) {
    Object.assign(this, { title: payload.title, subtitle: payload.subtitle || "", label: payload.label || "" });
    this.things = payload.things || "voxels"; this.unit = payload.unit || "MeV";
    this.origin = payload.origin; this.size = payload.size; this.shape = payload.shape;
    this.voxels = decode(payload.voxels, Uint16Array);
    for (let i = 3; i < this.voxels.length; i++) this.voxels[i] += this.voxels[i - 3];
    this.charge = decode(payload.charge, Float32Array);
    this.truth = payload.truth ? decode(payload.truth, Int8Array) : null;
    this.predicted = payload.predicted ? decode(payload.predicted, Int8Array) : null;
    this.score = payload.score ? decode(payload.score, Uint8Array) : null;
    this.layers = (payload.layers || []).map(({ name, truth, predicted }) => ({
      name, truth: truth === undefined ? null : decode(truth, Int16Array),
      predicted: predicted === undefined ? null : decode(predicted, Int16Array),
    }));
    this.markers = (payload.markers || []).map(({ kind, source, positions, classes }) =>
      ({ kind, source, positions: decode(positions, Float32Array), classes: decode(classes, Int8Array) }));
    this.start = payload.color || "class";
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
    const truth = this.truth || this.layers.some((l) => l.truth), predicted = this.predicted || this.layers.some((l) => l.predicted);
    if (truth && predicted) modes.push(["both", "Side by side"]);
    if (truth) modes.push(["truth", "Truth"]);
    if (predicted) modes.push(["prediction", "Prediction"]);
    if (this.truth && this.predicted) modes.push(["errors", "Errors"]);
    if (!modes.length) modes.push(["charge", "Charge"]);
    return modes;
  }
  labels(mode) {
    this.none ??= new Int8Array(this.n).fill(-1);
    return (mode === "truth" ? this.truth : this.predicted) || this.none;
  }
  layer(name) { return this.layers.find((l) => l.name === name) || null; }
  wrong(i) { return this.truth[i] >= 0 && this.truth[i] !== this.predicted[i]; }
}
