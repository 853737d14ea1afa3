// Buttons and slider of the picture viewers of a page (weft/report/pictures.py).
for (const viewer of document.querySelectorAll(".picture:not([data-ready])")) {
  viewer.dataset.ready = "";
  const buttons = [...viewer.querySelectorAll("button")];
  const layers = [...viewer.querySelectorAll(".stage img")].slice(1);
  const cover = viewer.querySelector("input");
  const veil = () => layers.forEach((layer) => (layer.style.opacity = cover.value / 100));
  buttons.forEach((button, k) => button.addEventListener("click", () => {
    buttons.forEach((other, j) => other.setAttribute("aria-pressed", String(j === k)));
    layers.forEach((layer, j) => (layer.hidden = j !== k));
  }));
  cover.addEventListener("input", veil);
  veil();
}
