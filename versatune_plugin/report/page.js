"use strict";
// Sorts the tables; without it they stand in their own order.
for (const table of document.querySelectorAll("table.sortable")) {
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const order = heading.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
      const sign = order === "ascending" ? 1 : -1;
      headings.forEach((one) => one.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", order);
      const rows = [...table.tBodies[0].rows];
      const value = (row) => row.cells[column].dataset.value;
      const text = (row) => row.cells[column].textContent;
      rows.sort((one, other) => {
        const [a, b] = [value(one), value(other)];
        if (a !== undefined && b !== undefined) return sign * (Number(a) - Number(b));
        // What is not known stands last, whichever way.
        if (a !== undefined || b !== undefined) return a === undefined ? 1 : -1;
        return sign * text(one).localeCompare(text(other));
      });
      table.tBodies[0].append(...rows);
    });
  });
}
