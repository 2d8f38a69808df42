// A table of many rows, one page of them at a time: sorted, found, and drawn into rows that stay,
// so that a refresh touches only what differs.

import { el, put, set } from "./dom.js";

export class Table {
  /**
   * `columns` are {key, title, help, kind, hide, first, format(row) | cell: {make(), show(node, row)}};
   * `first` is the direction a click sorts in at first.
   */
  constructor(place, { caption, columns, sort, descending, rows, empty }) {
    this.columns = columns;
    this.sort = sort;
    this.descending = descending;
    this.perPage = rows;
    this.page = 0;
    this.lines = [];
    this.heads = columns.map((column) => {
      const sorts = column.sort !== false;
      const head = sorts
        ? el("button", { type: "button", class: "text", onclick: () => this.sortBy(column) }, column.title)
        : column.title;
      return el("th", { scope: "col", class: classes(column), title: column.help }, head);
    });
    this.body = el("tbody");
    this.empty = el("p", { class: "empty", hidden: true }, empty);
    place.append(
      el("table", {}, el("caption", { class: "unseen" }, caption), el("thead", {}, el("tr", {}, ...this.heads)), this.body),
      this.empty);
    this.all = [];
    this.onpage = () => {};
  }

  sortBy(column) {
    if (this.sort === column.key) this.descending = !this.descending;
    else [this.sort, this.descending] = [column.key, column.first === "descending"];
    this.page = 0;
    this.show(this.all);
    this.onpage();
  }

  turn(pages) {
    this.page += pages;
    this.show(this.all);
    this.onpage();
  }

  get pages() {
    return Math.max(1, Math.ceil(this.all.length / this.perPage));
  }

  /** The rows on the screen. */
  get shown() {
    return this.lines.map((line) => line.row);
  }

  show(rows) {
    this.all = rows;
    const { sort, descending } = this;
    const ordered = rows.slice().sort((a, b) => compare(a[sort], b[sort], descending) || compare(a.name, b.name, false));
    this.page = Math.min(Math.max(0, this.page), this.pages - 1);
    const page = ordered.slice(this.page * this.perPage, (this.page + 1) * this.perPage);
    while (this.lines.length > page.length) this.lines.pop().node.remove();
    page.forEach((row, index) => {
      this.lines[index] ??= this.line();
      const line = this.lines[index];
      line.row = row;
      this.columns.forEach((column, place) => {
        const cell = line.cells[place];
        if (column.cell) column.cell.show(cell.firstChild, row);
        else put(cell, column.format(row));
      });
    });
    this.columns.forEach((column, index) => {
      if (column.key === sort) set(this.heads[index], "aria-sort", descending ? "descending" : "ascending");
      else this.heads[index].removeAttribute("aria-sort");
    });
    this.empty.hidden = rows.length > 0;
  }

  line() {
    const line = { row: null };
    line.cells = this.columns.map((column) => el("td", { class: classes(column) }, column.cell?.make(() => line.row)));
    line.node = el("tr", {}, ...line.cells);
    this.body.append(line.node);
    return line;
  }
}

const classes = (column) => [column.kind, column.hide].filter(Boolean).join(" ") || null;

/** What is not known comes last in either direction. */
function compare(a, b, descending) {
  if (a === b) return 0;
  if (a == null) return 1;
  if (b == null) return -1;
  const order = typeof a === "string" ? natural.compare(a, b) : a - b;
  return descending ? -order : order;
}

const natural = new Intl.Collator("en", { numeric: true });
