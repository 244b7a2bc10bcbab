"use strict";
(() => {
  // Charts: colours are CSS variables, so the same drawing serves light, dark and print.
  for (const holder of document.querySelectorAll("script.spec")) {
    const chart = holder.parentNode.querySelector(".chart");
    const spec = JSON.parse(holder.textContent);
    if (chart.clientWidth < 440) {
      spec.config.axisY.labelLimit = 120;
      spec.config.axis.labelFontSize = 11;
      spec.config.axis.titleFontSize = 11;
      if (spec.config.legend) spec.config.legend.columns = 2;
      for (const layer of spec.layer) if (layer.mark.type === "text") layer.mark.limit = 165;
    }
    vegaEmbed(chart, spec, {mode: "vega-lite", renderer: "svg", actions: false, logLevel: 1}).catch((error) => {
      chart.textContent = "The chart cannot be drawn here (" + error.message + "); the table has its numbers.";
    });
  }

  // Tables sort by the number or the text of a column; cells without a number stay at the end.
  const worth = (row, column) => {
    const cell = row.cells[column];
    if (cell.dataset.sort !== undefined) return Number(cell.dataset.sort);
    return cell.classList.contains("figure") ? null : cell.textContent;
  };
  for (const header of document.querySelectorAll("thead th")) {
    header.querySelector("button").addEventListener("click", () => {
      const table = header.closest("table");
      const rising = header.getAttribute("aria-sort") !== "ascending";
      for (const other of table.querySelectorAll("thead th")) other.removeAttribute("aria-sort");
      header.setAttribute("aria-sort", rising ? "ascending" : "descending");
      const body = table.tBodies[0];
      const rows = Array.from(body.rows, (row) => [worth(row, header.cellIndex), row]);
      rows.sort(([a], [b]) => {
        if (a === null || b === null) return (a === null) - (b === null);
        const order = typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
        return rising ? order : -order;
      });
      body.append(...rows.map(([, row]) => row));
    });
  }

  for (const input of document.querySelectorAll(".filter input")) {
    const body = input.closest(".filter").nextElementSibling.querySelector("tbody");
    input.addEventListener("input", () => {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      for (const row of body.rows) {
        const text = row.textContent.toLowerCase();
        row.hidden = !words.every((word) => text.includes(word));
      }
    });
  }

  // A print shows all: folded parts are opened for it.
  addEventListener("beforeprint", () => {
    for (const part of document.querySelectorAll("details:not([open])")) {
      part.open = true;
      part.dataset.folded = "";
    }
  });
  addEventListener("afterprint", () => {
    for (const part of document.querySelectorAll("details[data-folded]")) {
      part.open = false;
      delete part.dataset.folded;
    }
  });
})();
