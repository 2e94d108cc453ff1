"use strict";

const images = JSON.parse(document.getElementById("image-data").textContent);
const root = document.documentElement;
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const pressed = (button, value) => button.setAttribute("aria-pressed", String(value));
const typing = (event) => event.target.matches("select, input[type=text]");
const modified = (event) => event.ctrlKey || event.altKey || event.metaKey;

/* Images: decoded when they come near the window. */

let showOriginals = false;

function fill(image) {
  const swapped = showOriginals && image.closest("[data-predicted]");
  const name = swapped ? image.closest(".row").dataset.original : image.dataset.image;
  image.src = images[name];
}

const nearby = new IntersectionObserver(
  (entries) => {
    for (const entry of entries) {
      entry.target.near = entry.isIntersecting;
      if (entry.isIntersecting) fill(entry.target);
    }
  },
  { rootMargin: "600px" },
);
all("img[data-image]").forEach((image) => nearby.observe(image));
addEventListener("beforeprint", () => all("img[data-image]").forEach(fill));

const originalsButton = document.getElementById("originals");

function setOriginals(value) {
  if (value === showOriginals) return;
  showOriginals = value;
  pressed(originalsButton, value);
  root.classList.toggle("originals", value);
  all("[data-predicted] img[data-image]").filter((image) => image.near).forEach(fill);
}

originalsButton.addEventListener("click", () => setOriginals(!showOriginals));

/* Filters: an element goes away when one of its facets is not chosen. */

const facets = {
  class: "class",
  resolution: "resolution",
  metric: "metric",
  measure: "measure",
  method: "method",
  first: "method",
  second: "method",
};

function chosen(name) {
  const controls = all(`select[name=${name}], input[name=${name}]`);
  if (!controls.length) return null;
  if (controls[0].matches("select")) return controls[0].value ? [controls[0].value] : null;
  return controls.filter((control) => control.checked).map((control) => control.value);
}

function applyFilters() {
  const allowed = Object.fromEntries(
    Object.values(facets).map((control) => [control, chosen(control)]),
  );
  const refused = (node) =>
    Object.entries(facets).some(
      ([facet, control]) =>
        facet in node.dataset && allowed[control] && !allowed[control].includes(node.dataset[facet]),
    );
  const filtered = Object.keys(facets).map((facet) => `[data-${facet}]`).join();
  for (const node of all(filtered)) node.toggleAttribute("hidden", refused(node));
}

document.addEventListener("change", (event) => {
  if (event.target.name) applyFilters();
});
applyFilters();

/* Tables: a head sorts the rows, a second press turns them round. */

function compare(a, b) {
  if (a === undefined || b === undefined) return (a === undefined) - (b === undefined);
  const [x, y] = [Number(a), Number(b)];
  return Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b) : x - y;
}

function sortBy(head) {
  const descending = head.ariaSort === "ascending";
  for (const other of head.parentElement.cells) if (other.ariaSort) other.ariaSort = "none";
  head.ariaSort = descending ? "descending" : "ascending";
  const body = head.closest("table").tBodies[0];
  const value = (row) => {
    const cell = row.cells[head.cellIndex];
    return cell.dataset.value ?? (cell.classList.contains("none") ? undefined : cell.textContent);
  };
  const order = (a, b) => {
    const missing = (value(a) === undefined) - (value(b) === undefined);
    return missing || (descending ? compare(value(b), value(a)) : compare(value(a), value(b)));
  };
  body.append(...[...body.rows].sort(order));
}

document.addEventListener("click", (event) => {
  const head = event.target.closest("th[aria-sort]");
  if (head) sortBy(head);
});

/* Magnifier: all images of a row grow around the same point. */

const magnifier = document.getElementById("magnifier");

magnifier.addEventListener("click", () => {
  pressed(magnifier, root.classList.toggle("magnifying"));
});

function aim(element, event) {
  const box = element.getBoundingClientRect();
  return [
    `${(100 * (event.clientX - box.left)) / box.width}%`,
    `${(100 * (event.clientY - box.top)) / box.height}%`,
  ];
}

document.addEventListener("pointermove", (event) => {
  const shot = event.target.closest?.(".shot");
  for (const row of all(".row.aimed")) if (row !== shot?.parentElement) row.classList.remove("aimed");
  if (!shot || !root.classList.contains("magnifying")) return;
  const [x, y] = aim(shot, event);
  shot.parentElement.classList.add("aimed");
  shot.parentElement.style.setProperty("--x", x);
  shot.parentElement.style.setProperty("--y", y);
});

/* Light and dark */

const dark = matchMedia("(prefers-color-scheme: dark)");

document.getElementById("theme").addEventListener("click", () => {
  const now = root.style.colorScheme || (dark.matches ? "dark" : "light");
  root.style.colorScheme = now === "dark" ? "light" : "dark";
});

/* Zoom: one image large, the others of its row below. */

const zoom = document.getElementById("zoom");
const part = (name) => document.getElementById(`zoom-${name}`);
const stage = zoom.querySelector(".stage");
const film = zoom.querySelector(".film");
let current = null;

const visible = (node) => node.getClientRects().length > 0;
const shotsOf = (row) => all("button.shot", row).filter(visible);
const rows = () => all(".row").filter((row) => visible(row) && shotsOf(row).length);

function show(shot) {
  const row = shot.closest(".row");
  const source = (name) => images[name] ?? "";
  const changed = current?.closest(".row") !== row;
  current = shot;
  const [original, predicted, over] = all("img", stage);
  const isPrediction = "predicted" in shot.dataset;
  original.src = source(row.dataset.original);
  predicted.src = isPrediction ? source(shot.querySelector("img").dataset.image) : original.src;
  over.src = source(row.dataset.hole);
  zoom.classList.toggle("is-hole", shot.dataset.title === "hole");
  zoom.classList.toggle("is-prediction", isPrediction);
  part("about").textContent = row.dataset.about;
  part("title").textContent = shot.dataset.title;
  const notes = shot.dataset.note?.split(" · ") ?? [];
  part("note").replaceChildren(...notes.map(metricItem));
  part("wipe").disabled = !isPrediction;
  if (changed) film.replaceChildren(...shotsOf(row).map(filmFrame));
  for (const frame of film.children) {
    frame.setAttribute("aria-current", String(frame.shot === shot));
  }
}

function metricItem(text) {
  const item = document.createElement("li");
  const [, name, value] = text.match(/^(.*) (\S+)$/);
  const number = document.createElement("b");
  number.textContent = value;
  item.append(name, " ", number);
  return item;
}

function filmFrame(shot) {
  const frame = document.createElement("button");
  frame.type = "button";
  frame.shot = shot;
  const square = document.createElement("span");
  frame.append(square, shot.dataset.title);
  for (const image of all("img", shot)) {
    const copy = document.createElement("img");
    copy.alt = "";
    copy.src = images[image.dataset.image];
    square.append(copy);
  }
  frame.addEventListener("click", () => show(shot));
  return frame;
}

function openZoom(shot) {
  current = null;
  setWipe(0);
  setCloser(false);
  show(shot);
  zoom.showModal();
}

function setWipe(value) {
  part("wipe").value = value;
  stage.style.setProperty("--wipe", `${value}%`);
  stage.classList.toggle("wiped", Number(value) > 0);
}

function setCloser(value) {
  pressed(part("closer"), value);
  zoom.classList.toggle("closer", value);
}

function toggleHole() {
  pressed(part("hole"), zoom.classList.toggle("with-hole"));
}

function step(across, down) {
  const row = current.closest(".row");
  const shots = shotsOf(row);
  if (across) {
    show(shots[(shots.indexOf(current) + across + shots.length) % shots.length]);
    return;
  }
  const everyRow = rows();
  const next = everyRow[everyRow.indexOf(row) + down];
  if (!next) return;
  const there = shotsOf(next);
  show(there.find((shot) => shot.dataset.title === current.dataset.title) ?? there.at(-1));
}

document.addEventListener("click", (event) => {
  const shot = event.target.closest("button.shot");
  if (shot) openZoom(shot);
});
zoom.addEventListener("click", (event) => {
  if (event.target === zoom) zoom.close();
});
zoom.addEventListener("close", () => {
  zoom.classList.remove("holding");
  current?.focus();
});
part("close").addEventListener("click", () => zoom.close());
part("hole").addEventListener("click", toggleHole);
part("closer").addEventListener("click", () => setCloser(!zoom.classList.contains("closer")));
part("wipe").addEventListener("input", (event) => setWipe(event.target.value));
stage.addEventListener("click", () => setCloser(!zoom.classList.contains("closer")));
stage.addEventListener("pointermove", (event) => {
  const [x, y] = aim(stage, event);
  stage.style.setProperty("--x", x);
  stage.style.setProperty("--y", y);
});

/* Keys */

const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function onZoomKey(event) {
  const key = event.key.toLowerCase();
  if (event.key in steps) {
    if (event.target === part("wipe") && steps[event.key][0]) return;
    step(...steps[event.key]);
    event.preventDefault();
  } else if (key === "o") zoom.classList.add("holding");
  else if (key === "h" && !event.repeat) toggleHole();
  else if (key === "m" && !event.repeat) part("closer").click();
}

function onPageKey(event) {
  const key = event.key.toLowerCase();
  if (key === "o") setOriginals(true);
  else if (key === "m" && !event.repeat) magnifier.click();
  else if (key === "d" && !event.repeat) document.getElementById("theme").click();
}

document.addEventListener("keydown", (event) => {
  if (typing(event) || modified(event)) return;
  if (zoom.open) onZoomKey(event);
  else onPageKey(event);
});
document.addEventListener("keyup", (event) => {
  if (event.key.toLowerCase() !== "o") return;
  zoom.classList.remove("holding");
  setOriginals(false);
});
addEventListener("blur", () => {
  zoom.classList.remove("holding");
  setOriginals(false);
});
