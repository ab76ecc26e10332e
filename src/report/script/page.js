const draw = () => {
  const metric = by("metric").value;
  const finals = drawFinals(metric);
  by("finals-part").hidden = finals === null;
  const shown = shownArms();
  const names = finals && keys[finals.x].name;
  by("title").textContent = names ? `${metric} against ${names}` : metric;
  by("finals").setAttribute("aria-label", `${by("title").textContent}; the numbers are in the table of final values`);
  by("curves").setAttribute("aria-label", `${metric} by step`);
  drawCurves(metric);
  drawHeat(metric);
  keys.forEach((_, key) => by(`chips-${key}`)?.toggleAttribute("hidden", isTuned(key)));
  const conditions = keys.map((key, place) => isTuned(place) || !pressed[place].size ? "" :
    `${key.name} ${[...pressed[place]].sort((a, b) => a - b).map((at) => key.values[at]).join(" or ")}`).filter(Boolean);
  const all = isAtBest() ? arms.filter((arm) => arm.runs.some((run) => run.best)).length : arms.length;
  by("said").textContent = `${shown.length} of ${all} configurations are shown` +
    `${conditions.length ? `: ${conditions.join("; ")}` : ""}. Lines are means over seeds, bands reach from the ` +
    "smallest to the largest seed, crosses are runs that diverged." + (isAtBest() ? ` ${best.words}` : "");
  by("clear").hidden = conditions.length === 0;
  for (const row of document.querySelectorAll("tr[data-arm]")) row.hidden = !passes(arms[row.dataset.arm]);
};

const option = (text, value, isChosen) => new Option(text, value, isChosen, isChosen);
data.metrics.forEach((metric) => by("metric").add(option(metric, metric, metric === view.metric)));
keys.forEach((key, place) => {
  by("against").add(option(key.name, place, place === view.x));
  for (const id of ["colour", "curve-colour"]) by(id).add(new Option(key.name, place));
  for (const id of ["panels", "curve-panels"]) by(id).add(new Option(key.name, place));
});
for (const id of ["colour", "curve-colour"]) by(id).add(new Option("automatic", "automatic", true, true), 0);
for (const id of ["panels", "curve-panels"]) {
  by(id).add(new Option("automatic", "automatic", true, true), 0);
  by(id).add(new Option("one", "none"));
}
if (view.panels !== null) for (const id of ["panels", "curve-panels"]) by(id).value = view.panels;
if (view.asked) by("curve-colour").value = view.colour;
if (best === null) by("best").parentElement.remove();
else by("best").nextSibling.textContent = ` each at its best ${keys[best.key].name}`;

// A chip for each value: a button that is pressed where only its value and those of other pressed ones are shown.
keys.forEach((key, place) => {
  if (isOfArms(place)) return;
  const group = document.createElement("div");
  group.id = `chips-${place}`;
  group.className = "chips";
  group.setAttribute("role", "group");
  group.setAttribute("aria-label", `Values of ${key.name} that are shown`);
  const name = document.createElement("span");
  name.textContent = key.name;
  group.append(name);
  key.values.forEach((value, at) => {
    const chip = document.createElement("button");
    chip.type = "button";
    chip.textContent = value;
    chip.setAttribute("aria-pressed", "false");
    chip.addEventListener("click", () => {
      const isPressed = !pressed[place].delete(at);
      if (isPressed) pressed[place].add(at);
      chip.setAttribute("aria-pressed", `${isPressed}`);
      draw();
    });
    group.append(chip);
  });
  by("filters").append(group);
});
by("clear").addEventListener("click", () => {
  pressed.forEach((values) => values.clear());
  for (const chip of document.querySelectorAll(".chips button")) chip.setAttribute("aria-pressed", "false");
  draw();
});
by("filters").hidden = keys.length === 0;
const controls = ["metric", "against", "colour", "panels", "best", "logy", "curve-colour", "curve-panels", "logx", "seeds"];
for (const id of controls) by(id)?.addEventListener("change", draw);
by("reset").addEventListener("click", () => {
  Plotly.relayout("curves", { "xaxis.autorange": true, "yaxis.autorange": true });
});
by("theme").addEventListener("click", () => {
  document.documentElement.dataset.theme = isDark() ? "light" : "dark";
  draw();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
// Another width has other numbers of panels beside each other.
let width = innerWidth;
addEventListener("resize", () => {
  if (width === innerWidth) return;
  width = innerWidth;
  draw();
});
// On paper nothing can be opened.
addEventListener("beforeprint", () => {
  for (const claim of document.querySelectorAll(".verdicts details")) claim.open = true;
});

for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  table.querySelectorAll("th").forEach((header, column) => {
    header.querySelector("button").addEventListener("click", () => {
      const down = header.getAttribute("aria-sort") === "ascending";
      table.querySelectorAll("th").forEach((other) => other.removeAttribute("aria-sort"));
      header.setAttribute("aria-sort", down ? "descending" : "ascending");
      const text = (row) => row.cells[column].textContent;
      const compare = (a, b) => {
        const [x, y] = [parseFloat(text(a)), parseFloat(text(b))];
        const numbers = !Number.isNaN(x) && !Number.isNaN(y);
        return numbers ? x - y : text(a).localeCompare(text(b));
      };
      const rows = [...body.rows].sort(compare);
      body.append(...(down ? rows.reverse() : rows));
    });
  });
}
draw();
document.documentElement.dataset.ready = "yes";
