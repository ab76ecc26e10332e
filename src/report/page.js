"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const by = (id) => document.getElementById(id);
  // Okabe and Ito's colours, which people with colour-vision deficiencies can distinguish.
  const COLOURS = ["#d55e00", "#0072b2", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#8a8a00", "#7f7f7f"];
  const DASHES = ["solid", "dash", "dot", "dashdot"];
  const colour = (place) => COLOURS[place % COLOURS.length];
  const dash = (place) => DASHES[Math.floor(place / COLOURS.length) % DASHES.length];
  const shown = data.arms.map(() => true);

  const isDark = () => {
    const chosen = document.documentElement.dataset.theme;
    return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  };
  const theme = () => {
    const [ink, faint, line] =
      isDark() ? ["#ececf0", "#a5a5ad", "#3a3a40"] : ["#1c1c1e", "#6a6a70", "#d9d9de"];
    const axis = { gridcolor: line, linecolor: line, zeroline: false, automargin: true };
    return { ink, faint, axis };
  };

  // Minimum, mean, maximum and count of the seeds at every step that any of them has; nothing is interpolated.
  const overSeeds = (arm, metric) => {
    const points = new Map();
    for (const run of arm.runs) {
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
  const last = (run, metric) => {
    const values = run.values[metric];
    return values && run.state === "done" ? values[values.length - 1] : null;
  };
  const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;

  const curveTraces = (metric) => {
    const traces = [];
    data.arms.forEach((arm, place) => {
      if (!shown[place]) return;
      const points = overSeeds(arm, metric);
      const x = points.map((point) => point.step);
      const line = { color: colour(place), dash: dash(place), width: 2 };
      if (by("seeds").checked) {
        for (const run of arm.runs) {
          if (!run.values[metric]) continue;
          traces.push({ x: data.steps[run.steps], y: run.values[metric], mode: "lines", showlegend: false,
            line: { ...line, width: 1 }, opacity: 0.5, name: `${arm.name}, seed ${run.seed}` });
        }
      } else if (arm.runs.length > 1) {
        traces.push({ x: [...x, ...x.slice().reverse()], hoverinfo: "skip", showlegend: false,
          y: [...points.map((p) => p.high), ...points.map((p) => p.low).reverse()],
          fill: "toself", fillcolor: colour(place) + "22", line: { width: 0 }, mode: "lines" });
      }
      traces.push({ x, y: points.map((point) => point.mean), mode: "lines", line, name: arm.name,
        customdata: points.map((point) => point.n), showlegend: false,
        hovertemplate: "%{y:.4g} (n = %{customdata})<extra>%{fullData.name}</extra>" });
      const diverged = arm.runs.filter((run) => run.state === "diverged" && run.values[metric]);
      if (diverged.length) {
        const ends = diverged.map((run) => {
          const values = run.values[metric];
          let at = values.length - 1;
          while (at > 0 && values[at] === null) at -= 1;
          return [data.steps[run.steps][at], values[at]];
        });
        traces.push({ x: ends.map((end) => end[0]), y: ends.map((end) => end[1]), mode: "markers",
          marker: { symbol: "x", size: 11, color: colour(place) }, showlegend: false,
          name: `${arm.name} diverged`, hovertemplate: "diverged<extra>%{fullData.name}</extra>" });
      }
    });
    return traces;
  };

  const depthTraces = (metric) => {
    const families = new Map();
    data.arms.forEach((arm, place) => {
      if (arm.depth === null || !shown[place]) return;
      if (!families.has(arm.family)) families.set(arm.family, []);
      families.get(arm.family).push(arm);
    });
    const traces = [];
    [...families].forEach(([name, arms], place) => {
      const found = arms.map((arm) => ({ depth: arm.depth,
        values: arm.runs.map((run) => last(run, metric)).filter((value) => value !== null) }))
        .filter((at) => at.values.length).sort((a, b) => a.depth - b.depth);
      const colours = { color: colour(place) };
      traces.push({ x: found.map((at) => at.depth), y: found.map((at) => mean(at.values)),
        mode: "lines+markers", line: { ...colours, dash: dash(place) }, marker: { ...colours, size: 9 },
        name: name || "mean", customdata: found.map((at) => at.values.length),
        hovertemplate: "depth %{x}: %{y:.4g} (n = %{customdata})<extra>%{fullData.name}</extra>" });
      traces.push({ x: found.flatMap((at) => at.values.map(() => at.depth)),
        y: found.flatMap((at) => at.values), mode: "markers", marker: { ...colours, size: 5, opacity: 0.6 },
        name: `${name} seeds`, showlegend: false, hovertemplate: "%{y:.4g}<extra>one seed</extra>" });
      const diverged = arms.flatMap((arm) => arm.runs.filter((run) => run.state === "diverged")
        .map(() => arm.depth));
      const chance = metric.endsWith("_pct") ? data.chance.error : data.chance.loss;
      if (diverged.length && chance !== null) {
        traces.push({ x: diverged, y: diverged.map(() => chance), mode: "markers", showlegend: false,
          marker: { ...colours, symbol: "x", size: 11 }, name: `${name} diverged`,
          hovertemplate: "diverged: drawn at the chance level<extra>%{fullData.name}</extra>" });
      }
    });
    return traces;
  };

  const draw = () => {
    const metric = by("metric").value;
    const { ink, faint, axis } = theme();
    const type = (id) => (by(id).checked ? "log" : "linear");
    const layout = { paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { color: ink },
      margin: { l: 60, r: 16, t: 12, b: 48 }, hovermode: "closest",
      modebar: { bgcolor: "rgba(0,0,0,0)", color: faint, activecolor: ink },
      yaxis: { ...axis, title: { text: metric }, type: type("logy"),
        rangemode: by("logy").checked ? "normal" : "tozero" } };
    const config = { responsive: true, displaylogo: false, modeBarButtonsToRemove: ["toImage"] };
    Plotly.react("curves", curveTraces(metric),
      { ...layout, xaxis: { ...axis, title: { text: "step" }, type: type("logx") } }, config);
    const depths = depthTraces(metric);
    by("depth").parentElement.hidden = depths.length === 0;
    if (depths.length) {
      Plotly.react("depth", depths, { ...layout, xaxis: { ...axis, title: { text: "depth" } },
        legend: { orientation: "h", y: -0.2 } }, config);
    }
    const count = shown.filter(Boolean).length;
    by("said").textContent = `${metric}: ${count} of ${shown.length} configurations are shown. ` +
      "Lines are means over seeds, bands reach from the smallest to the largest seed, crosses are runs that diverged.";
  };

  data.metrics.forEach((metric) => by("metric").add(new Option(metric, metric)));
  data.arms.forEach((arm, place) => {
    const label = document.createElement("label");
    const box = document.createElement("input");
    box.type = "checkbox";
    box.checked = true;
    box.addEventListener("change", () => { shown[place] = box.checked; draw(); });
    const swatch = document.createElement("span");
    swatch.className = "swatch";
    swatch.style.background = colour(place);
    label.append(box, swatch, arm.name || "the only configuration");
    by("arms").append(label);
  });
  const boxes = () => [...by("arms").querySelectorAll("input")];
  const setAll = (value) => {
    boxes().forEach((box, place) => { box.checked = value; shown[place] = value; });
    draw();
  };
  by("all").addEventListener("click", () => setAll(true));
  by("none").addEventListener("click", () => setAll(false));
  for (const id of ["metric", "logx", "logy", "seeds"]) by(id).addEventListener("change", draw);
  by("reset").addEventListener("click", () => {
    Plotly.relayout("curves", { "xaxis.autorange": true, "yaxis.autorange": true });
  });
  by("theme").addEventListener("click", () => {
    document.documentElement.dataset.theme = isDark() ? "light" : "dark";
    draw();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);

  for (const table of document.querySelectorAll("table")) {
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
})();
