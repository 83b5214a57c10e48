"use strict";
// The numbers and texts in drawing are those of drawing.py.
const { drawing, looks, curves } = JSON.parse(document.getElementById("data").textContent);
const number = (v) => +v.toFixed(drawing.digits);
const fill = (template, values) => template.replace(/\{(\w+)\}/g, (_, name) => values[name]);

const bytesOf = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));

// A function (row, column, axis) -> offsets of a query token along an axis, in tokens. See Field.packed in field.py.
function reader(field) {
  if (!field.values) field.values = field.floats ? new Float32Array(bytesOf(field.floats).buffer) : new Int8Array(bytesOf(field.offsets).buffer);
  const decoded = (q) => (q === drawing.nanCode ? NaN : Math.sign(q) * (q / drawing.offsetCodes) ** 2 * field.scale);
  return (row, column, axis) => {
    const start = ((row * field.columns + column) * 2 + axis) * field.n;
    const part = field.values.subarray(start, start + field.n);
    return field.floats ? part : Array.from(part, decoded);
  };
}

// The mean of the fusion weights over the blocks of a group: for each branch those of the drawn share groups.
function weights(field) {
  field.weights ??= [0, 1, 2].map((branch) => Array.from({ length: field.n }, (_, group) => {
    const all = field.fusions.map((fusion) => fusion.weights[branch][group]);
    return all.reduce((sum, weight) => sum + weight, 0) / all.length;
  }));
  return field.weights;
}

// Index of the token of a query token; see Field.queries in field.py.
const token = (index, field, length) => Math.min(index * field.step + (field.step >> 1), length - 1);

const isSingleToken = (field) => field.w === 1 && field.h === 1;

// The same as query_svg() in arcs.py.
function query(field, row, column) {
  if (isSingleToken(field)) return "";
  const read = reader(field);
  const i = token(row, field, field.h), j = token(column, field, field.w);
  const centre = [j + 0.5, i + 0.5];
  let svg = `<path class="w band" d="M0 ${i}h${field.w}v1H0z"/><path class="h band" d="M${j} 0v${field.h}h1V0z"/>` +
    `<path class="token" d="M${j} ${i}h1v1h-1z"/>`;
  [field.w, field.h].forEach((length, axis) => {
    const point = (along, across) => (axis ? [across, along] : [along, across]).map(number).join(" ");
    const start = centre[axis], line = centre[1 - axis];
    let arcs = "", dots = "", hollow = "";
    read(row, column, axis).forEach((offset, n, all) => {
      if (Number.isNaN(offset)) return;
      const width = field.fusions?.length ? ` style="--f:${number(drawing.branches * weights(field)[axis][n])}"` : "";
      const end = Math.min(Math.max(start + offset, -drawing.margin * length), (1 + drawing.margin) * length);
      const bulge = ((2 * n + 1) / all.length - 1) * drawing.bulge * Math.abs(end - start);
      const limited = Math.min(Math.max(bulge, -2 * line), 2 * ((axis ? field.w : field.h) - line));
      const isOutside = end < 0 || end > length;
      const target = point(end, line);
      const curve = `M${point(start, line)}Q${point((start + end) / 2, line + limited)} ${target}`;
      arcs += `<path${isOutside ? " class=out" : ""}${width} d="${curve}"/>`;
      if (isOutside) hollow += `M${target}${drawing.dot}`;
      else dots += `M${target}${drawing.dot}`;
    });
    svg += `<g class="${"wh"[axis]}">${arcs}<path class="dot" d="${dots}"/>`;
    svg += hollow ? `<path class="dot out" d="${hollow}"/><path class="hole" d="${hollow}"/></g>` : "</g>";
  });
  return svg;
}

// The shares of the samples that are read from each token along an axis; see read_shares() in arcs.py.
function readShares(field, row, column, axis) {
  const length = axis ? field.h : field.w;
  const at = token(axis ? row : column, field, length);
  const shares = new Array(length).fill(0);
  for (const offset of reader(field)(row, column, axis)) {
    const low = Math.floor(at + offset), part = at + offset - low;
    if (low >= 0 && low < length) shares[low] += (1 - part) / field.n;
    if (low + 1 >= 0 && low + 1 < length) shares[low + 1] += part / field.n;
  }
  return shares;
}

// The number of a query's places that lie outside the image; see count_outside() in arcs.py.
function countOutside(field, row, column) {
  let count = 0;
  [field.w, field.h].forEach((length, axis) => {
    const at = token(axis ? row : column, field, length);
    for (const offset of reader(field)(row, column, axis)) count += at + offset < -0.5 || at + offset > length - 0.5;
  });
  return count;
}

// The bars at the edges: how much is read from each column, or from each row; see bars_svg() in arcs.py.
function bars(shares, longest, across) {
  const width = drawing.barWidth;
  return shares.map((share, k) => {
    const start = number(k + drawing.barStart), end = number(share / longest);
    if (share / longest <= drawing.minBar) return "";
    return across ? `M${start} 0h${width}v${end}h-${width}z` : `M0 ${start}v${width}h${end}v-${width}z`;
  }).join("");
}

// Makes a viewer of the element that viewer_html() in viewer.py wrote.
//   data: {examples}, and for exact fields layers; see looks.py.
//   moved: called with the fractions of the sides when the user moves the token.
function viewer(root, data, moved = () => {}) {
  const part = (name) => root.querySelector(`[data-part=${name}]`);
  const large = part("large"), close = part("close");
  const panels = [...root.querySelectorAll(".strip .scene")];
  const exampleOf = (panel) => data.examples[panel.dataset.example];
  const fieldOf = (panel) => exampleOf(panel).fields[panel.dataset.look];
  let layer = "reads";

  function draw(panel, x, y) {
    const f = fieldOf(panel);
    const row = Math.min(Math.floor(Math.floor(y * f.h) / f.step), f.rows - 1);
    const column = Math.min(Math.floor(Math.floor(x * f.w) / f.step), f.columns - 1);
    if (+panel.dataset.row === row && +panel.dataset.column === column && !panel.stale) return;
    panel.stale = false;
    Object.assign(panel.dataset, { row, column });
    const other = panel === large && layer !== "reads" && !isSingleToken(f) && layers[layer](exampleOf(panel).fields, +panel.dataset.look, row, column);
    panel.querySelector(".query").innerHTML = other ? other.svg : query(f, row, column);
    if (panel === large) describe(f, row, column, other && other.readout);
  }

  // Draws the bars and the close-up of the large image and writes the line below it.
  function describe(f, row, column, readout) {
    const i = token(row, f, f.h), j = token(column, f, f.w);
    const hasBars = layer === "reads" && !isSingleToken(f);
    const across = hasBars ? readShares(f, row, column, 0) : [], down = hasBars ? readShares(f, row, column, 1) : [];
    const longest = Math.max(drawing.minBarScale, ...across, ...down);
    part("across").setAttribute("viewBox", `0 0 ${f.w} 1`);
    part("across").innerHTML = `<path class="w" d="${bars(across, longest, true)}"/>`;
    part("down").setAttribute("viewBox", `0 0 1 ${f.h}`);
    part("down").innerHTML = `<path class="h" d="${bars(down, longest, false)}"/>`;
    const outside = countOutside(f, row, column);
    const places = readout || (outside ? fill(drawing.someOutside, { outside, total: 2 * f.n }) : drawing.noneOutside);
    part("readout").textContent = isSingleToken(f)
      ? drawing.singleToken
      : fill(drawing.readout, { row: i + 1, rows: f.h, column: j + 1, columns: f.w, places });
    const r = layer === "reads" ? f.close : 0;
    close.hidden = !r;
    close.firstElementChild.innerHTML = r ? large.innerHTML : "";
    close.firstElementChild.setAttribute("viewBox", `${j + 0.5 - r} ${i + 0.5 - r} ${2 * r} ${2 * r}`);
  }

  function point(example, x, y) {
    data.examples[example].at = [x, y];
    for (const panel of [large, ...panels]) if (+panel.dataset.example === example) draw(panel, x, y);
  }

  function move(example, x, y) {
    point(example, x, y);
    moved(x, y);
  }

  // Shows an example and stage in the large image, whose layers are copied from the small image.
  function choose(example, look) {
    const small = panels.find((p) => +p.dataset.example === example && +p.dataset.look === look);
    const chosen = data.examples[example];
    Object.assign(large.dataset, { example, look });
    large.setAttribute("viewBox", small.getAttribute("viewBox"));
    large.closest(".viewer").style.setProperty("--ratio", chosen.ratio);
    large.innerHTML = small.innerHTML;
    large.stale = true;
    part("who").innerHTML = chosen.caption;
    for (const button of root.querySelectorAll(".stages button")) {
      const on = +button.dataset.look === look;
      button.setAttribute("aria-pressed", on);
      button.closest("tr").classList.toggle("chosen", on);
    }
    for (const p of panels) p.classList.toggle("chosen", p === small);
    for (const fusion of root.querySelectorAll(".fusion")) fusion.hidden = +fusion.dataset.look !== look;
    point(example, ...chosen.at);
  }

  for (const panel of [large, ...panels]) {
    const follow = (event) => {
      const box = panel.getBoundingClientRect();
      const inside = (v) => Math.min(Math.max(v, 0), 0.9999);
      move(+panel.dataset.example, inside((event.clientX - box.left) / box.width), inside((event.clientY - box.top) / box.height));
    };
    panel.addEventListener("pointermove", follow);
    panel.addEventListener("pointerdown", follow);
  }
  for (const panel of panels) {
    panel.addEventListener("click", () => {
      choose(+panel.dataset.example, +panel.dataset.look);
      large.parentElement.scrollIntoView({ block: "nearest", behavior: "smooth" });
    });
  }
  for (const button of root.querySelectorAll(".stages button")) {
    button.addEventListener("click", () => choose(+large.dataset.example, +button.dataset.look));
  }
  for (const button of root.querySelectorAll("[data-layer]")) {
    button.addEventListener("click", () => {
      layer = button.dataset.layer;
      for (const other of root.querySelectorAll("[data-layer]")) other.setAttribute("aria-pressed", other === button);
      large.stale = true;
      point(+large.dataset.example, ...exampleOf(large).at);
    });
  }
  for (const button of root.querySelectorAll("[data-save]")) {
    button.addEventListener("click", () => save(large, button.dataset.save, data.file));
  }
  large.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!step) return;
    event.preventDefault();
    const f = fieldOf(large);
    const to = (index, by, count, length) =>
      (token(Math.min(Math.max(+index + by, 0), count - 1), f, length) + 0.5) / length;
    move(+large.dataset.example, to(large.dataset.column, step[0], f.columns, f.w), to(large.dataset.row, step[1], f.rows, f.h));
  });
  return { point: (x, y) => point(+large.dataset.example, x, y) };
}
