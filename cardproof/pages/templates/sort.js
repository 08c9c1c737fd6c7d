// Long tables: a click on a column's head sorts by it. A row's detail moves with it.
for (const table of document.querySelectorAll("table.long")) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const figure = (text) => parseFloat(text.replace(/[,\s]/g, ""));
  const order = (a, b) => (isNaN(figure(a)) || isNaN(figure(b)) ? a.localeCompare(b) : figure(a) - figure(b));
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
      const rows = [...body.rows].filter((row) => row.className !== "detail");
      const pairs = rows.map((row) => [row, row.nextElementSibling]);
      pairs.sort(([a], [b]) => sign * order(a.cells[column].textContent, b.cells[column].textContent));
      for (const [row, next] of pairs) body.append(row, ...(next?.className === "detail" ? [next] : []));
    });
  });
}
