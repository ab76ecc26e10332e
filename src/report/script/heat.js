// Tables of final values by two numeric keys, a learning rate and a depth, coloured by value.
const GOOD = [0, 114, 178];
const BAD = [240, 228, 205];

const heatCell = (same, metric, [low, high]) => {
  const cell = document.createElement("td");
  const runs = same.flatMap((arm) => arm.runs);
  const values = runs.map((run) => last(run, metric)).filter((value) => value !== null);
  const lost = runs.filter((run) => run.state === "diverged").length;
  const isBest = runs.some((run) => run.best);
  if (values.length) {
    const share = high > low ? Math.min(1, Math.max(0, (mean(values) - low) / (high - low))) : 0;
    cell.style.background = blend([GOOD, BAD], share);
    cell.style.color = share < 0.1 ? "#fff" : "#000";
    cell.append(mean(values).toPrecision(3));
  } else {
    cell.append(lost ? "diverged" : "unfinished");
    cell.className = lost ? "lost" : "";
  }
  const count = document.createElement("small");
  const words = [`n = ${values.length}`];
  if (lost) words.push(`${lost} diverged`);
  if (isBest) words.push("best");
  count.textContent = words.join(", ");
  cell.append(count);
  cell.classList.toggle("best", isBest);
  return cell;
};

const heatTable = (inside, [row, column], others, metric, scale) => {
  const table = document.createElement("table");
  table.className = "heat";
  table.createCaption().textContent = label(others, inside[0]) || metric;
  const values = (key) => groupedBy([key], inside).map(([arm]) => arm.axes[key]);
  const header = (text, scope) => {
    const cell = document.createElement("th");
    cell.scope = scope;
    cell.textContent = text;
    return cell;
  };
  const columns = values(column);
  const head = table.createTHead().insertRow();
  head.append(header(`${keys[row].name} \\ ${keys[column].name}`, "col"),
    ...columns.map((value) => header(keys[column].values[value], "col")));
  const body = table.createTBody();
  for (const value of values(row).reverse()) {
    const line = body.insertRow();
    line.append(header(keys[row].values[value], "row"));
    for (const other of columns) {
      const same = inside.filter((arm) => arm.axes[row] === value && arm.axes[column] === other);
      line.append(same.length ? heatCell(same, metric, scale) : document.createElement("td"));
    }
  }
  return table;
};

const drawHeat = (metric) => {
  const pair = view.heat;
  by("heat-section").hidden = pair === null;
  if (pair === null) return;
  // All values of both keys, whether or not the other figures show the best only.
  const shown = arms.filter(passes);
  const others = keys.map((_, key) => key).filter((key) => !pair.includes(key) && !follows(key, [], shown));
  const finals = shown.flatMap((arm) => arm.runs).map((run) => last(run, metric)).filter((value) => value !== null);
  const least = finals.reduce((a, b) => Math.min(a, b), Infinity);
  const most = finals.reduce((a, b) => Math.max(a, b), -Infinity);
  const scale = [least, chanceOf(metric) ?? most];
  by("heat").replaceChildren(...groupedBy(others, shown)
    .map((inside) => heatTable(inside, pair, others, metric, scale)));
};
