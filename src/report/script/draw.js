// Okabe and Ito's colours, which people with colour-vision deficiencies can distinguish.
const COLOURS = ["#d55e00", "#0072b2", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#8a8a00", "#7f7f7f"];
const DASHES = ["solid", "dash", "dot", "dashdot", "longdash", "longdashdot"];
const SYMBOLS = ["circle", "square", "triangle-up", "diamond", "triangle-down", "star", "hexagon", "pentagon"];
// Scales for values with an order, on white and on black paper: the colours of later values are further from it.
const LIGHT = [[252, 166, 54], [225, 100, 98], [177, 42, 144], [106, 0, 168], [13, 8, 135]];
const DARK = [[129, 92, 246], [200, 90, 200], [240, 110, 130], [250, 160, 80], [245, 230, 120]];
// Most lines of a panel around which bands are legible.
const MOST_BANDS = 12;

const isDark = () => {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
};
const theme = () => {
  const [ink, faint, line] =
    isDark() ? ["#ececf0", "#a5a5ad", "#3a3a40"] : ["#1c1c1e", "#6a6a70", "#d9d9de"];
  return { ink, faint, axis: { gridcolor: line, linecolor: line, zeroline: false, automargin: true } };
};
const hex = (parts) => "#" + parts.map((part) => Math.round(part).toString(16).padStart(2, "0")).join("");
const blend = (scale, share) => {
  const place = share * (scale.length - 1);
  const left = Math.min(Math.floor(place), scale.length - 2);
  return hex(scale[left].map((part, at) => part + (place - left) * (scale[left + 1][at] - part)));
};
// One of many hues without an order; neighbours differ in lightness too.
const hue = (place, count) => {
  const light = place % 2 ? 0.35 : 0.6;
  const part = (shift) => {
    const turn = (12 * place / count + shift) % 12;
    return 255 * (light - 0.7 * Math.min(light, 1 - light) * Math.max(-1, Math.min(turn - 3, 9 - turn, 1)));
  };
  return hex([part(0), part(8), part(4)]);
};
// The colour of a value of a key. No two values have the same one.
const colourOf = (key, arm) => {
  if (key === null) return COLOURS[1];
  const [count, place] = [keys[key].values.length, Math.max(arm.axes[key], 0)];
  if (keys[key].numeric) return blend(isDark() ? DARK : LIGHT, count > 1 ? place / (count - 1) : 1);
  return count <= COLOURS.length ? COLOURS[place] : hue(place, count);
};

// Entries of the legend: the values of the coloured key, and the styles of lines.
const legend = ({ colour, styles }, shown) => {
  const entry = (name, line, more) => ({ x: [null], y: [null], mode: "lines+markers", name, line,
    marker: { color: line.color }, ...more });
  const colours = colour === null ? [] : groupedBy([colour], shown).map(([arm]) =>
    entry(named(colour, arm), { color: colourOf(colour, arm) }, { legendgroup: `${arm.axes[colour]}`,
      marker: { color: colourOf(colour, arm), symbol: SYMBOLS[Math.max(arm.axes[colour], 0) % SYMBOLS.length] } }));
  const lines = styles.length ? groupedBy(styles, shown).map(([arm], place) =>
    entry(label(styles, arm), { color: theme().faint, dash: DASHES[place % DASHES.length] }, { mode: "lines" })) : [];
  return [...colours, ...lines];
};

// Text that plotly shows as it is: it takes `<b>` and `&lt;` for markup.
const plain = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
const plainTrace = (trace) => ({ ...trace, ...(trace.name !== undefined && { name: plain(trace.name) }),
  x: Array.from(trace.x, (x) => (typeof x === "string" ? plain(x) : x)) });

// Draws the traces of each panel beside and below each other, on equal axes.
const drawPanels = (id, panels, entries, xaxis, yaxis, height) => {
  const { ink, faint, axis } = theme();
  const wide = by(id).clientWidth || 800;
  const columns = Math.min(panels.length, Math.max(1, Math.floor(wide / (panels.length > 4 ? 230 : 290))), 4);
  const rows = Math.ceil(panels.length / columns);
  const tall = rows === 1 ? height : rows * Math.max(220, height / 2);
  const [gapX, gapY, title] = [0.025, 52 / tall, 20 / tall];
  const traces = entries.map((entry) => ({ ...plainTrace(entry), xaxis: "x", yaxis: "y" }));
  const layout = { paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { color: ink },
    margin: { l: 60, r: 12, t: 36, b: 44 }, hovermode: "closest", annotations: [],
    height: tall + 44 + 20 * Math.ceil(entries.length * 110 / wide), showlegend: entries.length > 0,
    legend: { orientation: "h", x: 0, xanchor: "left", y: 1.01, yanchor: "bottom" },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: faint, activecolor: ink } };
  panels.forEach((panel, place) => {
    const [column, row] = [place % columns, Math.floor(place / columns)];
    const suffix = place ? `${place + 1}` : "";
    const width = (1 - gapX * (columns - 1)) / columns;
    const part = (1 - gapY * (rows - 1)) / rows;
    const [left, top] = [column * (width + gapX), 1 - row * (part + gapY)];
    const isLast = place + columns >= panels.length;
    layout[`xaxis${suffix}`] = { ...axis, ...xaxis, anchor: `y${suffix}`, domain: [left, left + width],
      ...(xaxis.categoryarray && { categoryarray: xaxis.categoryarray.map(plain) }),
      title: { text: isLast ? plain(xaxis.title) : "", standoff: 6 }, ...(place && { matches: "x" }) };
    layout[`yaxis${suffix}`] = { ...axis, ...yaxis, anchor: `x${suffix}`, domain: [top - part, top - title],
      title: { text: column ? "" : plain(yaxis.title) }, showticklabels: !column, ...(place && { matches: "y" }) };
    if (panel.title) {
      layout.annotations.push({ text: plain(panel.title), showarrow: false, xref: "paper", yref: "paper",
        x: left + width / 2, xanchor: "center", y: top, yanchor: "top", font: { color: ink, size: 13 } });
    }
    for (const trace of panel.traces) traces.push({ ...plainTrace(trace), xaxis: `x${suffix}`, yaxis: `y${suffix}` });
  });
  const config = { responsive: true, displaylogo: false, modeBarButtonsToRemove: ["toImage", "select2d", "lasso2d"] };
  by(id).style.height = `${layout.height}px`;
  Plotly.react(id, traces, layout, config);
};
