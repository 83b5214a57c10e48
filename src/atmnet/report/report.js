"use strict";
(() => {
  // The numbers and texts in drawing are those of drawing.py.
  const { drawing, looks, curves } = JSON.parse(document.getElementById("data").textContent);
  const number = (v) => +v.toFixed(drawing.digits);
  const fill = (template, values) => template.replace(/\{(\w+)\}/g, (_, name) => values[name]);

  // A function (row, column, axis) -> offsets of a query token along an axis, in tokens. See Field.packed in field.py.
  function reader(field) {
    if (!field.bytes) field.bytes = Int8Array.from(atob(field.offsets), (c) => c.charCodeAt(0));
    return (row, column, axis) => {
      const start = ((row * field.columns + column) * 2 + axis) * field.n;
      return Array.from(field.bytes.subarray(start, start + field.n), (q) =>
        q === drawing.nanCode ? NaN : Math.sign(q) * (q / drawing.offsetCodes) ** 2 * field.scale);
    };
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
        const end = Math.min(Math.max(start + offset, -drawing.margin * length), (1 + drawing.margin) * length);
        const bulge = ((2 * n + 1) / all.length - 1) * drawing.bulge * Math.abs(end - start);
        const limited = Math.min(Math.max(bulge, -2 * line), 2 * ((axis ? field.w : field.h) - line));
        const isOutside = end < 0 || end > length;
        const target = point(end, line);
        const curve = `M${point(start, line)}Q${point((start + end) / 2, line + limited)} ${target}`;
        arcs += `<path${isOutside ? " class=out" : ""} d="${curve}"/>`;
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

  function viewer() {
    const $ = (id) => document.getElementById(id);
    const large = $("large"), close = $("close");
    const panels = [...document.querySelectorAll(".strip .scene")];
    const field = (panel) => looks.examples[panel.dataset.example].fields[panel.dataset.look];

    function draw(panel, x, y) {
      const f = field(panel);
      const row = Math.min(Math.floor(Math.floor(y * f.h) / f.step), f.rows - 1);
      const column = Math.min(Math.floor(Math.floor(x * f.w) / f.step), f.columns - 1);
      if (+panel.dataset.row === row && +panel.dataset.column === column && !panel.stale) return;
      panel.stale = false;
      Object.assign(panel.dataset, { row, column });
      panel.querySelector(".query").innerHTML = query(f, row, column);
      if (panel === large) describe(f, row, column);
    }

    // Draws the bars and the close-up of the large image and writes the line below it.
    function describe(f, row, column) {
      const i = token(row, f, f.h), j = token(column, f, f.w);
      const across = readShares(f, row, column, 0), down = readShares(f, row, column, 1);
      const longest = Math.max(drawing.minBarScale, ...across, ...down);
      const width = drawing.barWidth;
      const bars = (shares, bar) => (isSingleToken(f) ? [] : shares).map((share, k) => {
        const length = share / longest;
        return length > drawing.minBar ? bar(number(k + drawing.barStart), number(length)) : "";
      }).join("");
      $("across").setAttribute("viewBox", `0 0 ${f.w} 1`);
      $("across").innerHTML = `<path class="w" d="${bars(across, (start, end) => `M${start} 0h${width}v${end}h-${width}z`)}"/>`;
      $("down").setAttribute("viewBox", `0 0 1 ${f.h}`);
      $("down").innerHTML = `<path class="h" d="${bars(down, (start, end) => `M0 ${start}v${width}h${end}v-${width}z`)}"/>`;
      const outside = countOutside(f, row, column);
      const places = outside ? fill(drawing.someOutside, { outside, total: 2 * f.n }) : drawing.noneOutside;
      $("readout").textContent = isSingleToken(f)
        ? drawing.singleToken
        : fill(drawing.readout, { row: i + 1, rows: f.h, column: j + 1, columns: f.w, places });
      close.hidden = !f.close;
      close.firstElementChild.innerHTML = f.close ? large.innerHTML : "";
      const r = f.close;
      close.firstElementChild.setAttribute("viewBox", `${j + 0.5 - r} ${i + 0.5 - r} ${2 * r} ${2 * r}`);
    }

    function point(example, x, y) {
      looks.examples[example].at = [x, y];
      for (const panel of [large, ...panels]) if (+panel.dataset.example === example) draw(panel, x, y);
    }

    // Shows an example and stage in the large image, whose layers are copied from the small image.
    function choose(example, look) {
      const small = panels.find((p) => +p.dataset.example === example && +p.dataset.look === look);
      const chosen = looks.examples[example];
      Object.assign(large.dataset, { example, look });
      large.setAttribute("viewBox", small.getAttribute("viewBox"));
      large.closest(".viewer").style.setProperty("--ratio", chosen.ratio);
      large.innerHTML = small.innerHTML;
      large.stale = true;
      $("who").innerHTML = chosen.caption;
      for (const button of document.querySelectorAll(".stages button")) {
        const on = +button.dataset.look === look;
        button.setAttribute("aria-pressed", on);
        button.closest("tr").classList.toggle("chosen", on);
      }
      for (const p of panels) p.classList.toggle("chosen", p === small);
      point(example, ...chosen.at);
    }

    for (const panel of [large, ...panels]) {
      const follow = (event) => {
        const box = panel.getBoundingClientRect();
        const inside = (v) => Math.min(Math.max(v, 0), 0.9999);
        point(+panel.dataset.example, inside((event.clientX - box.left) / box.width), inside((event.clientY - box.top) / box.height));
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
    for (const button of document.querySelectorAll(".stages button")) {
      button.addEventListener("click", () => choose(+large.dataset.example, +button.dataset.look));
    }
    large.addEventListener("keydown", (event) => {
      const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      if (!move) return;
      event.preventDefault();
      const f = field(large);
      const to = (index, by, count, length) =>
        (token(Math.min(Math.max(+index + by, 0), count - 1), f, length) + 0.5) / length;
      point(+large.dataset.example, to(large.dataset.column, move[0], f.columns, f.w), to(large.dataset.row, move[1], f.rows, f.h));
    });
  }

  function curve(figure) {
    const points = curves[figure.dataset.curve];
    const area = figure.querySelector(".area"), output = figure.querySelector("output");
    const show = ([x, y, text]) => {
      figure.querySelector(".cursor").setAttribute("d", `M${100 * x} 0v100`);
      figure.querySelector(".point").setAttribute("d", `M${100 * x} ${100 * y}${drawing.dot}`);
      output.textContent = text;
    };
    const initial = output.textContent;
    const follow = (event) => {
      const box = area.getBoundingClientRect();
      const x = (event.clientX - box.left) / box.width;
      area.classList.add("live");
      show(points.reduce((best, p) => (Math.abs(p[0] - x) < Math.abs(best[0] - x) ? p : best)));
    };
    area.addEventListener("pointermove", follow);
    area.addEventListener("pointerdown", follow);
    area.addEventListener("pointerleave", () => {
      area.classList.remove("live");
      show(points[points.length - 1]);
      output.textContent = initial;
    });
  }

  // Sorts the rows of a table by the column whose heading is chosen; missing values stay last.
  function sortable(table) {
    const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
    heads.forEach((head, column) => head.querySelector("button")?.addEventListener("click", () => {
      const descending = head.getAttribute("aria-sort") === "ascending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      const value = (row) => row.cells[column].dataset.value;
      const missing = (row) => value(row) === "";
      const order = (a, b) => missing(a) - missing(b) || (descending ? value(b) - value(a) : value(a) - value(b));
      body.append(...[...body.rows].sort(order));
    }));
  }

  document.documentElement.classList.add("js");
  if (looks.examples) viewer();
  document.querySelectorAll(".curve").forEach(curve);
  document.querySelectorAll(".classes").forEach(sortable);
})();
