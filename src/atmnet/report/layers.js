// Layers of the large image that need exact fields: who reads a token, and where its content came from.

// Tokens as squares whose opacity grows with an amount, in a few levels, so that the page draws few paths.
function squares(amounts, width, kind) {
  const largest = Math.max(...amounts, drawing.minBarScale);
  const paths = new Array(drawing.heatLevels + 1).fill("");
  amounts.forEach((amount, k) => {
    const level = Math.ceil((amount / largest) * drawing.heatLevels);
    if (level > 0) paths[level] += `M${k % width} ${Math.floor(k / width)}h1v1h-1z`;
  });
  return paths.map((d, level) => d && `<path class="heat ${kind}" fill-opacity="${number(level / drawing.heatLevels)}" d="${d}"/>`).join("");
}

const tokenMark = (row, column) => `<path class="token" d="M${column} ${row}h1v1h-1z"/>`;

const percent = (share) => `${number(100 * share).toFixed(1)}\u202f%`;

const layers = {
  // See readers_of() and heat() in explore/reads.py.
  readers(fields, look, row, column) {
    const f = fields[look], read = reader(f), share = weights(f);
    const amounts = [new Float64Array(f.w * f.h), new Float64Array(f.w * f.h)];
    const seen = new Set();
    [f.w, f.h].forEach((length, axis) => {
      for (let along = 0; along < length; along++) {
        const [i, j] = axis ? [along, column] : [row, along];
        read(i, j, axis).forEach((offset, n) => {
          const part = 1 - Math.abs(along + offset - (axis ? row : column));
          if (!(part > 0)) return;
          amounts[axis][i * f.w + j] += (part * share[axis][n]) / f.n;
          seen.add(i * f.w + j);
        });
      }
    });
    const most = Math.max(...amounts[0].map((amount, k) => amount + amounts[1][k]));
    return {
      svg: squares(Array.from(amounts[0]), f.w, "w") + squares(Array.from(amounts[1]), f.w, "h") + tokenMark(row, column),
      readout: fill(drawing.readBy, { count: seen.size, most: percent(most) }),
      amounts,
    };
  },

  // See trace() in explore/trace.py.
  origin(fields, look, row, column) {
    let f = fields[look], amount = new Float64Array(f.w * f.h);
    if (!f.fusions.length) return { svg: tokenMark(row, column), readout: drawing.noOrigin };
    amount[row * f.w + column] = 1;
    const links = [];
    for (let k = look; k >= 0; k--) {
      const next = fields[k];
      if (!next.fusions.length) continue;
      if (next.w !== f.w || next.h !== f.h) amount = spread(amount, f, next);
      f = next;
      for (const fusion of f.fusions.slice().reverse()) amount = step(f, k, fusion, amount, links);
    }
    const sorted = Array.from(amount).sort((a, b) => b - a);
    let half = 0;
    for (let sum = 0; half < sorted.length && sum < 0.5; half++) sum += sorted[half];
    const total = sorted.reduce((sum, share) => sum + share, 0);
    const own = fields[look];
    const place = ([i, j], g) => [number(((j + 0.5) * own.w) / g.w), number(((i + 0.5) * own.h) / g.h)].join(" ");
    const largest = Math.max(...links.map((link) => link.amount), drawing.minBarScale);
    const lines = links.sort((a, b) => a.amount - b.amount).map((link) => {
      const g = fields[link.group];
      const kind = link.source[0] === link.reader[0] ? "w" : "h";
      return `<path class="link ${kind}" style="--f:${number(Math.sqrt(link.amount / largest))}" d="M${place(link.source, g)}L${place(link.reader, g)}"/>`;
    });
    return {
      svg: `<g transform="scale(${own.w / f.w} ${own.h / f.h})">${squares(Array.from(amount), f.w, "o")}</g>${lines.join("")}${tokenMark(row, column)}`,
      readout: fill(drawing.origin, { half, patches: f.w * f.h, outside: percent(Math.max(0, 1 - total)) }),
      amount,
      links,
    };
  },
};

// The amounts before a block; adds its links. The same as _step() in explore/trace.py.
function step(f, group, fusion, amount, links) {
  const read = reader(f), before = new Float64Array(amount.length), largest = [];
  const scale = (1 - fusion.kept) / f.n;
  const here = fusion.kept + scale * fusion.weights[2].reduce((sum, weight) => sum + weight, 0);
  const moved = [new Float64Array(f.w), new Float64Array(f.h)];
  for (let k = 0; k < amount.length; k++) {
    const value = amount[k];
    if (!value) continue;
    const row = Math.floor(k / f.w), column = k % f.w;
    before[k] += value * here;
    for (let axis = 0; axis < 2; axis++) {
      const line = moved[axis].fill(0), length = line.length, index = axis ? row : column;
      const offsets = read(row, column, axis), shares = fusion.weights[axis];
      for (let n = 0; n < offsets.length; n++) {
        const place = index + offsets[n], low = Math.floor(place), part = place - low;
        const share = value * scale * shares[n];
        if (low >= 0 && low < length) line[low] += share * (1 - part);
        if (low + 1 >= 0 && low + 1 < length) line[low + 1] += share * part;
      }
      const first = axis ? column : row * f.w, stride = axis ? f.w : 1;
      for (let along = 0; along < length; along++) {
        const share = line[along];
        if (!share) continue;
        before[first + along * stride] += share;
        if (share >= drawing.minLink && along !== index) {
          largest.push({ group, source: axis ? [along, column] : [row, along], reader: [row, column], amount: share });
        }
      }
    }
  }
  links.push(...largest.sort((a, b) => b.amount - a.amount).slice(0, drawing.maxLinks));
  return before;
}

// Amounts of a stage -> amounts before the convolution of stride 2. The same as _spread() in explore/trace.py.
function spread(amount, f, next) {
  const wide = new Float64Array(next.w * next.h);
  amount.forEach((value, k) => {
    if (!value) return;
    const targets = [];
    for (let i = -1; i < 2; i++) for (let j = -1; j < 2; j++) {
      const row = 2 * Math.floor(k / f.w) + i, column = 2 * (k % f.w) + j;
      if (row >= 0 && row < next.h && column >= 0 && column < next.w) targets.push(row * next.w + column);
    }
    for (const target of targets) wide[target] += value / targets.length;
  });
  return wide;
}
