// Most panels that a figure has unless the reader asks for more.
const MOST_FINAL = 6;
const MOST_CURVES = 24;
// Most values of which each has a tick.
const MOST_TICKS = 5;

const last = (run, metric) => {
  const values = run.values[metric];
  return values && run.state === "done" ? values[values.length - 1] : null;
};
const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;
const chanceOf = (metric) => (metric.endsWith("_pct") ? data.chance.error : data.chance.loss);
const type = (id) => (by(id).checked ? "log" : "linear");

// Minimum, mean, maximum and count of the seeds at every step that any of them has; nothing is interpolated.
const overSeeds = (runs, metric) => {
  const points = new Map();
  for (const run of runs) {
    const values = run.values[metric];
    if (!values) continue;
    data.steps[run.steps].forEach((step, place) => {
      const value = values[place];
      if (value === null) return;
      const point = points.get(step);
      if (!point) points.set(step, [value, value, value, 1]);
      else {
        point[0] = Math.min(point[0], value);
        point[1] += value;
        point[2] = Math.max(point[2], value);
        point[3] += 1;
      }
    });
  }
  return [...points].sort((a, b) => a[0] - b[0])
    .map(([step, [low, sum, high, n]]) => ({ step, low, mean: sum / n, high, n }));
};

// Panels of a figure, each with its lines: configurations of one colour and one style.
const laidOut = (parts, shown) => {
  const styles = groupedBy(parts.styles, shown).map(([arm]) => valuesOf(parts.styles, arm).join());
  return groupedBy(parts.panels, shown).map((inside) => ({
    title: label(parts.panels, inside[0]),
    lines: groupedBy([parts.colour, ...parts.styles].filter((key) => key !== null), inside).map((own) => {
      const style = styles.indexOf(valuesOf(parts.styles, own[0]).join());
      const place = parts.colour === null ? 0 : Math.max(own[0].axes[parts.colour], 0);
      const rest = [...parts.panels, parts.colour, ...parts.styles].filter((key) => key !== null);
      return { arms: own, name: label(rest, own[0]), group: `${own[0].axes[parts.colour]}`,
        colour: colourOf(parts.colour, own[0]), dash: DASHES[style % DASHES.length],
        symbol: SYMBOLS[place % SYMBOLS.length] };
    }),
  }));
};

const finalTraces = (line, x, metric) => {
  const at = (arm) => (keys[x].numeric ? number(x, arm) : keys[x].values[arm.axes[x]]);
  const points = groupedBy([x], line.arms).map((same) => ({ x: at(same[0]),
    values: same.flatMap(runsOf).map((run) => last(run, metric)).filter((value) => value !== null),
    lost: same.flatMap(runsOf).filter((run) => run.state === "diverged").length }));
  const found = points.filter((point) => point.values.length);
  const shared = { legendgroup: line.group, showlegend: false };
  const traces = [
    { ...shared, x: found.flatMap((p) => p.values.map(() => p.x)), y: found.flatMap((p) => p.values),
      mode: "markers", marker: { color: line.colour, size: 5, opacity: 0.5 }, name: line.name,
      hovertemplate: "%{y:.4g}<extra>one seed</extra>" },
    { ...shared, x: found.map((p) => p.x), y: found.map((p) => mean(p.values)),
      mode: keys[x].numeric ? "lines+markers" : "markers", line: { color: line.colour, dash: line.dash },
      marker: { color: line.colour, size: 9, symbol: line.symbol }, name: line.name,
      customdata: found.map((p) => p.values.length),
      hovertemplate: `${plain(keys[x].name)} %{x}: %{y:.4g} (n = %{customdata})<extra>%{fullData.name}</extra>` }];
  const lost = points.filter((point) => point.lost);
  const chance = chanceOf(metric);
  if (lost.length && chance !== null) {
    traces.push({ ...shared, x: lost.map((p) => p.x), y: lost.map(() => chance), mode: "markers",
      marker: { color: line.colour, symbol: "x", size: 10 }, name: `${line.name} diverged`,
      customdata: lost.map((p) => p.lost),
      hovertemplate: "%{customdata} diverged: drawn at the chance level<extra>%{fullData.name}</extra>" });
  }
  return traces;
};

const drawFinals = (metric) => {
  const x = chosenKey("against");
  const shown = shownArms();
  if (x === null || !shown.length) return null;
  const parts = assign(x, "colour", "panels", [view.colour], MOST_FINAL);
  const panels = laidOut(parts, shown).map(({ title, lines }) =>
    ({ title, traces: lines.flatMap((line) => finalTraces(line, x, metric)) }));
  const values = [...new Set(shown.map((arm) => number(x, arm)))].sort((a, b) => a - b);
  const isWide = values[0] > 0 && values[values.length - 1] >= 30 * values[0];
  const names = keys[x].values;
  // A tick at each value, where there is room for so many.
  const ticks = values.length <= MOST_TICKS ? { tickvals: values, ticktext: values.map((value) => `${value}`) }
    : isWide && { dtick: 1, exponentformat: "power" };
  const axis = keys[x].numeric ? { type: isWide ? "log" : "linear", tickangle: 0, ...ticks }
    : { type: "category", categoryorder: "array", categoryarray: names };
  drawPanels("finals", panels, legend(parts, shown), { ...axis, title: keys[x].name },
    { title: metric, type: type("logy"), rangemode: by("logy").checked ? "normal" : "tozero" }, 380);
  return { x, parts };
};

const curveTraces = (line, metric, hasBands) => {
  const traces = [];
  const runs = line.arms.flatMap(runsOf);
  const points = overSeeds(runs, metric);
  const x = points.map((point) => point.step);
  const shared = { legendgroup: line.group, showlegend: false };
  const style = { color: line.colour, dash: line.dash, width: 2 };
  if (by("seeds").checked) {
    for (const run of runs.filter((run) => run.values[metric])) {
      traces.push({ ...shared, x: data.steps[run.steps], y: run.values[metric], mode: "lines", opacity: 0.5,
        line: { ...style, width: 1 }, name: `${line.name}, seed ${run.seed}` });
    }
  } else if (runs.length > 1 && hasBands) {
    traces.push({ ...shared, x: [...x, ...x.slice().reverse()], hoverinfo: "skip", mode: "lines",
      y: [...points.map((p) => p.high), ...points.map((p) => p.low).reverse()],
      fill: "toself", fillcolor: line.colour + "22", line: { width: 0 } });
  }
  traces.push({ ...shared, x, y: points.map((point) => point.mean), mode: "lines", line: style, name: line.name,
    customdata: points.map((point) => point.n),
    hovertemplate: "%{y:.4g} (n = %{customdata})<extra>%{fullData.name}</extra>" });
  const ends = runs.filter((run) => run.state === "diverged" && run.values[metric]).map((run) => {
    const values = run.values[metric];
    let at = values.length - 1;
    while (at > 0 && values[at] === null) at -= 1;
    return [data.steps[run.steps][at], values[at]];
  });
  if (ends.length) {
    traces.push({ ...shared, x: ends.map((end) => end[0]), y: ends.map((end) => end[1]), mode: "markers",
      marker: { symbol: "x", size: 9, color: line.colour }, name: `${line.name} diverged`,
      hovertemplate: "diverged<extra>%{fullData.name}</extra>" });
  }
  return traces;
};

const drawCurves = (metric) => {
  const shown = shownArms();
  const parts = assign(null, "curve-colour", "curve-panels", [chosenKey("against"), view.colour], MOST_CURVES);
  const panels = laidOut(parts, shown).map(({ title, lines }) =>
    ({ title, traces: lines.flatMap((line) => curveTraces(line, metric, lines.length <= MOST_BANDS)) }));
  const empty = { title: "", traces: [] };
  drawPanels("curves", panels.length ? panels : [empty], legend(parts, shown), { type: type("logx"), title: "step" },
    { title: metric, type: type("logy"), rangemode: by("logy").checked ? "normal" : "tozero" }, 480);
};
