"use strict";
// Search and order are kept in the address, behind the #.
const table = document.querySelector(".experiments");
if (table) {
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const heads = [...table.tHead.rows[0].cells];
  const search = document.getElementById("search");
  const found = document.getElementById("found");
  const order = { column: -1, descending: false };

  const key = (row, column) => {
    const cell = row.cells[column];
    const given = cell.querySelector("[data-sort]");
    const text = (given ? given.dataset.sort : cell.textContent).trim();
    const number = Number(text.replaceAll(",", ""));
    return text !== "" && !Number.isNaN(number) ? number : text.toLowerCase();
  };
  const compare = (a, b) => {
    if (typeof a === "number" && typeof b === "number") return a - b;
    return String(a).localeCompare(String(b));
  };

  const show = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
      if (!row.hidden) count += 1;
    }
    found.textContent = words.length ? `${count} of ${rows.length}` : "";
    const { column, descending } = order;
    const sorted = column < 0 ? rows : [...rows].sort(
      (a, b) => compare(key(a, column), key(b, column)) * (descending ? -1 : 1),
    );
    body.append(...sorted);
    heads.forEach((head, number) => {
      if (number === column) head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
  };
  const remember = () => {
    const state = new URLSearchParams();
    if (search.value) state.set("q", search.value);
    if (order.column >= 0) state.set("sort", `${order.descending ? "-" : ""}${order.column}`);
    history.replaceState(null, "", state.size ? `#${state}` : "#");
  };
  const recall = () => {
    const state = new URLSearchParams(location.hash.slice(1));
    const sort = state.get("sort") ?? "";
    const column = Number(sort.replace("-", ""));
    search.value = state.get("q") ?? "";
    order.column = /^-?\d+$/.test(sort) && column < heads.length ? column : -1;
    order.descending = sort.startsWith("-");
    show();
  };

  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      order.descending = order.column === column && !order.descending;
      order.column = column;
      show();
      remember();
    });
  });
  search.addEventListener("input", () => {
    show();
    remember();
  });
  addEventListener("hashchange", recall);
  recall();
}
