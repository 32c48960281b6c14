"use strict";
for (const box of document.querySelectorAll(".filters")) {
  box.hidden = false;
  const search = box.querySelector("[data-filter]");
  const outcome = box.querySelector("select[data-outcome]");
  const sort = box.querySelector("[data-sort]");
  const body = document.getElementById(search.dataset.filter).tBodies[0];
  const original = Array.from(body.rows);
  let slowest = false;
  const show = () => {
    const text = search.value.toLowerCase();
    for (const row of original) {
      const fits = !outcome.value || row.dataset.outcome === outcome.value;
      row.hidden = !(fits && row.textContent.toLowerCase().includes(text));
    }
  };
  search.addEventListener("input", show);
  outcome.addEventListener("change", show);
  sort.addEventListener("click", () => {
    slowest = !slowest;
    const rows = slowest ? [...original].sort((a, b) => b.dataset.wall - a.dataset.wall) : original;
    body.append(...rows);
    sort.textContent = slowest ? "original order" : "slowest first";
  });
}
