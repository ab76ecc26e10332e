// The configurations that the reader chose, and the keys that figures distinguish.
const data = JSON.parse(document.getElementById("data").textContent);
const { arms, best, keys, view } = data;
const by = (id) => document.getElementById(id);

// Values that the reader pressed, by key; none stands for all.
const pressed = keys.map(() => new Set());
const isAtBest = () => best !== null && by("best").checked;
// Whether each configuration has a value of its own of a key, so that the key distinguishes nothing.
const isTuned = (key) => isAtBest() && key === best.key;

const passes = (arm) => keys.every((_, key) =>
  isTuned(key) || !pressed[key].size || pressed[key].has(arm.axes[key]));
const runsOf = (arm) => (isAtBest() ? arm.runs.filter((run) => run.best) : arm.runs);
const shownArms = () => arms.filter((arm) => passes(arm) && runsOf(arm).length);

// The value of a key with its name; families and arms stand for themselves.
const named = (key, arm) => {
  const value = keys[key].values[arm.axes[key]];
  if (value === undefined) return `no ${keys[key].name}`;
  return ["family", "arm"].includes(keys[key].name) ? value : `${keys[key].name} ${value}`;
};
const label = (of, arm) => of.map((key) => named(key, arm)).join(", ");
const number = (key, arm) => Number(keys[key].values[arm.axes[key]]);

const grouped = (items, id) => {
  const groups = new Map();
  for (const item of items) {
    const own = id(item);
    if (!groups.has(own)) groups.set(own, []);
    groups.get(own).push(item);
  }
  return [...groups.values()];
};
const valuesOf = (of, arm) => of.map((key) => arm.axes[key]);
// Configurations with the same values of some keys, in the order of these values.
const groupedBy = (of, items) => grouped(items, (arm) => valuesOf(of, arm).join())
  .sort((a, b) => {
    const [x, y] = [valuesOf(of, a[0]), valuesOf(of, b[0])];
    const place = x.findIndex((value, at) => value !== y[at]);
    return place < 0 ? 0 : x[place] - y[place];
  });
// Whether the value of a key follows from those of others.
const follows = (key, from, items) => groupedBy(from, items)
  .every((group) => group.every((arm) => arm.axes[key] === group[0].axes[key]));

// Whether only arms set a key, so that their names stand for its values.
const ARM = keys.findIndex((key) => key.name === "arm");
const isOfArms = (key) => ARM >= 0 && key !== ARM && follows(key, [ARM], arms);

// The keys in which the shown configurations differ and that a figure against the key `x` must distinguish: none
// that follows from the others.
const dimensions = (x) => {
  const shown = shownArms();
  // What follows from a name on the axis is named there; numbers join by lines what differs in nothing else.
  const known = x === null || keys[x].numeric ? [] : [x];
  let found = keys.map((_, key) => key)
    .filter((key) => key !== x && !isTuned(key) && !follows(key, known, shown));
  if (found.includes(ARM)) {
    const others = found.filter((key) => key !== ARM);
    // Arms of one depth each make no lines against depth.
    const isArmOfX = x !== null && follows(x, [ARM], shown) && follows(ARM, [...others, x], shown);
    found = isArmOfX ? others : found.filter((key) => key === ARM || !follows(key, [ARM], shown));
  }
  for (const key of [...found].reverse()) {
    const others = found.filter((other) => other !== key);
    if (others.length && follows(key, others, shown)) found = others;
  }
  return found;
};

const chosenKey = (id) => (/^\d+$/.test(by(id).value) ? Number(by(id).value) : null);
// Assigns each key that a figure must distinguish to colours, panels or styles of lines. Unless the reader chose
// one, colours are those of the first of `wished` that is there, and panels those of all other keys, as long as there
// are at most `most`.
const assign = (x, colourId, panelsId, wished, most) => {
  const free = dimensions(x);
  const asked = [chosenKey(colourId), ...wished].find((key) => free.includes(key));
  const colour = asked ?? free[0] ?? null;
  const others = free.filter((key) => key !== colour);
  const chosen = by(panelsId).value;
  let panels = others;
  if (chosen === "none") panels = [];
  else if (others.includes(chosenKey(panelsId))) panels = [chosenKey(panelsId)];
  else {
    const shown = shownArms();
    const count = (key) => new Set(shown.map((arm) => arm.axes[key])).size;
    panels = [...others].sort((a, b) => count(b) - count(a));
    while (panels.length > 1 && groupedBy(panels, shown).length > most) panels.pop();
    panels = others.filter((key) => panels.includes(key));
  }
  return { colour, panels, styles: others.filter((key) => !panels.includes(key)) };
};
