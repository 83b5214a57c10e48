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
document.querySelectorAll(".curve").forEach(curve);
document.querySelectorAll(".classes").forEach(sortable);
// Viewers of the same picture follow each other.
const roots = [...document.querySelectorAll("[data-viewer]")];
const viewers = roots.map((root, k) => viewer(root, looks[k], (x, y) => {
  viewers.forEach((other, n) => n !== k && looks[k].picture && looks[n].picture === looks[k].picture && other.point(x, y));
}));

// A page around this one, such as the app's, can make the frame as high as its content.
if (window.parent !== window) {
  const tell = () => window.parent.postMessage({ height: document.documentElement.offsetHeight }, "*");
  new ResizeObserver(tell).observe(document.documentElement);
  setInterval(tell, drawing.tellTime); // the page around may begin to listen later
}
