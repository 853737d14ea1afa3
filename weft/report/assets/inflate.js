// DEFLATE (RFC 1951) undone at once: what a browser has for it answers later, and a page that is printed does not wait.

const codes = (lengths) => {
  const counts = new Uint16Array(16), next = new Uint16Array(16);
  for (const length of lengths) counts[length]++;
  counts[0] = 0;
  for (let n = 1; n < 16; n++) next[n] = next[n - 1] + counts[n - 1];
  const symbols = new Uint16Array(lengths.length);
  lengths.forEach((length, symbol) => { if (length) symbols[next[length]++] = symbol; });
  return { counts, symbols };
};
const ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
const FIXED = [
  codes(Array.from({ length: 288 }, (_, k) => (k < 144 ? 8 : k < 256 ? 9 : k < 280 ? 7 : 8))),
  codes(new Array(30).fill(5)),
];

const inflate = (bytes) => {
  let at = 0, held = 0, left = 0, size = 0, out = new Uint8Array(4 * bytes.length + 64);
  const bits = (n) => {
    while (left < n) { held |= bytes[at++] << left; left += 8; }
    const value = held & ((1 << n) - 1);
    held >>>= n; left -= n;
    return value;
  };
  const symbol = ({ counts, symbols }) => {
    for (let n = 1, code = 0, first = 0, index = 0; n < 16; n++) {
      code |= bits(1);
      if (code < first + counts[n]) return symbols[index + code - first];
      index += counts[n];
      first = (first + counts[n]) << 1;
      code <<= 1;
    }
    throw new Error("its data are damaged");
  };
  const room = (n) => {
    if (size + n <= out.length) return;
    const larger = new Uint8Array(2 * (size + n));
    larger.set(out);
    out = larger;
  };
  const tables = () => {
    const literals = bits(5) + 257, distances = bits(5) + 1, number = bits(4) + 4, short = new Array(19).fill(0);
    for (let k = 0; k < number; k++) short[ORDER[k]] = bits(3);
    const table = codes(short), lengths = [];
    while (lengths.length < literals + distances) {
      const s = symbol(table);
      if (s < 16) { lengths.push(s); continue; }
      const [value, times] = s === 16 ? [lengths.at(-1), 3 + bits(2)] : [0, s === 17 ? 3 + bits(3) : 11 + bits(7)];
      for (let k = 0; k < times; k++) lengths.push(value);
    }
    return [codes(lengths.slice(0, literals)), codes(lengths.slice(literals))];
  };
  for (let last = 0; !last;) {
    last = bits(1);
    const kind = bits(2);
    if (kind === 0) {
      held = left = 0;
      const n = bytes[at] | bytes[at + 1] << 8;
      room(n);
      out.set(bytes.subarray(at + 4, at + 4 + n), size);
      at += 4 + n; size += n;
      continue;
    }
    const [literal, distance] = kind === 1 ? FIXED : tables();
    for (let s = symbol(literal); s !== 256; s = symbol(literal)) {
      if (s < 256) { room(1); out[size++] = s; continue; }
      // Lengths 3 to 10 have codes of their own, then four share each number of extra bits; distances two.
      const more = s < 265 || s === 285 ? 0 : (s - 261) >> 2;
      const length = s === 285 ? 258 : s < 265 ? s - 254 : ((4 + ((s - 261) & 3)) << more) + 3 + bits(more);
      const d = symbol(distance), extra = d < 2 ? 0 : (d >> 1) - 1;
      const back = d < 2 ? d + 1 : ((2 + (d & 1)) << extra) + 1 + bits(extra);
      room(length);
      for (let k = 0; k < length; k++, size++) out[size] = out[size - back];
    }
  }
  return out.slice(0, size);
};
