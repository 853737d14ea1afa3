// Sorting of tables, and the choice between the light and the dark page.
(() => {
  "use strict";
  const value = (row, k) => {
    const cell = row.cells[k];
    return cell.dataset.value === undefined ? cell.textContent.trim() : cell.dataset.value === "" ? null : +cell.dataset.value;
  };
  const compare = (a, b) => (a === null ? 1 : b === null ? -1 : typeof a === "number" ? a - b : a.localeCompare(b, "en", { numeric: true }));

  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, k) => head.querySelector("button")?.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const rows = [...table.tBodies[0].rows].sort((p, q) => {
        const [a, b] = [value(p, k), value(q, k)];
        return a === null || b === null ? compare(a, b) : (down ? -1 : 1) * compare(a, b);
      });
      table.tBodies[0].append(...rows);
    }));
  }

  const dark = matchMedia("(prefers-color-scheme: dark)");
  document.getElementById("theme").addEventListener("click", () => {
    const root = document.documentElement;
    const now = root.dataset.theme || (dark.matches ? "dark" : "light");
    root.dataset.theme = now === "dark" ? "light" : "dark";
  });
})();
