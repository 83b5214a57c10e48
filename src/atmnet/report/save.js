// Saves what the large image shows as a file of its own, with the styles that the page gives it.
const drawnStyles = ["fill", "fill-opacity", "stroke", "stroke-width", "stroke-opacity", "stroke-linecap", "stroke-linejoin", "vector-effect", "image-rendering"];

function standalone(svg) {
  const box = svg.getBoundingClientRect();
  const copy = svg.cloneNode(true);
  const originals = [svg, ...svg.querySelectorAll("*")], copies = [copy, ...copy.querySelectorAll("*")];
  originals.forEach((original, k) => {
    const style = getComputedStyle(original);
    copies[k].setAttribute("style", drawnStyles.map((name) => `${name}:${style.getPropertyValue(name)}`).join(";"));
  });
  for (const use of copy.querySelectorAll("use")) {
    const stored = document.querySelector(use.getAttribute("href")).cloneNode();
    stored.setAttribute("transform", use.getAttribute("transform"));
    if (stored.classList.contains("tiny")) stored.setAttribute("style", "image-rendering:pixelated");
    use.replaceWith(stored);
  }
  // Places outside of the picture are drawn beyond its border.
  const [, , w, h] = svg.getAttribute("viewBox").split(" ").map(Number);
  const edge = 2 * drawing.margin, size = 1 + 2 * edge;
  copy.setAttribute("viewBox", `${-edge * w} ${-edge * h} ${size * w} ${size * h}`);
  copy.setAttribute("width", Math.round(size * box.width));
  copy.setAttribute("height", Math.round(size * box.height));
  copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  for (const name of ["class", "tabindex", "aria-describedby"]) copy.removeAttribute(name);
  return copy;
}

function save(svg, format, name) {
  const text = new XMLSerializer().serializeToString(standalone(svg));
  const download = (blob) => {
    const href = URL.createObjectURL(blob);
    Object.assign(document.createElement("a"), { href, download: `${name}.${format}` }).click();
    setTimeout(() => URL.revokeObjectURL(href), drawing.saveTime);
  };
  if (format === "svg") {
    download(new Blob([text], { type: "image/svg+xml" }));
    return;
  }
  const image = new Image();
  image.onload = () => {
    const canvas = Object.assign(document.createElement("canvas"), { width: 2 * image.width, height: 2 * image.height });
    const context = canvas.getContext("2d");
    context.fillStyle = getComputedStyle(document.body).getPropertyValue("--page");
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.drawImage(image, 0, 0, canvas.width, canvas.height);
    canvas.toBlob(download);
  };
  image.src = "data:image/svg+xml;charset=utf-8," + encodeURIComponent(text);
}
