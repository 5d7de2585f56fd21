// What is asked for, and its history. Photographs are kept beside it, by number, so that a step back is small.

const EMPTY = {
  people: [], weights: {}, expression: null, strength: null, pose: null, sliders: {}, yaw: null, pitch: null, roll: null, emotion: null,
  prompt: "", describe: "", scales: {}, guidance: {}, speed: "auto", seed: 0,
};
export const photos = new Map(); // number -> {name, source, url, read, words}
let next = 1;
let current = structuredClone(EMPTY);
let past = [];
let future = [];
const listeners = new Set();

export const state = () => current;
export const onChange = (listener) => listeners.add(listener);

export function addPhoto(photo) {
  photos.set(next, photo);
  return next++;
}

const tell = (kind) => listeners.forEach((listener) => listener(current, kind));

// `merge`: a word for changes that belong together, such as one drag; they become one step of the history.
let merging = null;
export function change(values, merge = null) {
  if (merge === null || merge !== merging) {
    past.push(current);
    if (past.length > 200) past = past.slice(-200);
    future = [];
  }
  merging = merge;
  current = { ...current, ...values };
  tell("change");
}

export function endMerge() { merging = null; }

export function undo() {
  if (!past.length) return;
  future.push(current);
  current = past.pop();
  merging = null;
  tell("undo");
}

export function redo() {
  if (!future.length) return;
  past.push(current);
  current = future.pop();
  merging = null;
  tell("undo");
}

export const canUndo = () => past.length > 0;
export const canRedo = () => future.length > 0;
// What is there when the page begins is no step that can be undone.
export function forgetPast() { past = []; }

export function startOver(values) { change({ ...structuredClone(EMPTY), ...values }); }
export function restore(values) { change(structuredClone(values)); }

// The settings of the API for a state; `options` are those of GET /api/options.
export function settingsOf(one, options) {
  const found = { seed: one.seed };
  const shapes = {};
  for (const slider of options.sliders) {
    const value = one.sliders[slider.name];
    if (value === undefined || value === null) continue;
    for (const name of slider.low) shapes[name] = round(Math.max(0, -value));
    for (const name of slider.high) shapes[name] = round(Math.max(0, value));
  }
  if (Object.keys(shapes).length) found.blendshapes = shapes;
  for (const angle of ["yaw", "pitch", "roll"]) if (one[angle] !== null) found[angle] = one[angle];
  if (one.expression && one.strength !== null) found.expression_strength = round(one.strength);
  if (one.emotion) found.emotion = one.emotion.word ?? `at:${round(one.emotion.valence)}/${round(one.emotion.arousal)}`;
  if (one.prompt.trim()) found.prompt = one.prompt.trim();
  if (one.describe.trim()) found.describe = one.describe.trim();
  if (Object.keys(one.scales).length) found.scales = one.scales;
  if (Object.keys(one.guidance).length) found.guidance = one.guidance;
  if (one.people.length > 1 && one.people.some((id) => (one.weights[id] ?? 1) !== 1))
    found.weights = one.people.map((id) => one.weights[id] ?? 1);
  return found;
}

export function picturesOf(one) {
  const found = {};
  const [first, ...others] = one.people.map((id) => photos.get(id).source);
  if (first) found.identity = first;
  if (others.length) found.identities = others;
  for (const role of ["expression", "pose"]) if (one[role]) found[role] = photos.get(one[role]).source;
  return found;
}

// Landmarks of what was read, for the preview; null while a photograph is still being read.
export function facesOf(one) {
  const ids = [...one.people, one.expression, one.pose].filter(Boolean);
  if (ids.some((id) => !photos.get(id).read)) return null;
  const landmarks = (id) => photos.get(id).read.faces[0].landmarks;
  const found = {};
  if (one.people.length) found.identity = [landmarks(one.people[0])];
  if (one.people.length > 1) found.identities = one.people.slice(1).map(landmarks);
  for (const role of ["expression", "pose"]) if (one[role]) found[role] = [landmarks(one[role])];
  return found;
}

// What distinguishes a state, in words; who it is comes last, since a gallery mostly shows the same person.
export function summaryOf(one) {
  const names = (...ids) => ids.filter(Boolean).map((id) => photos.get(id).name);
  const angles = Object.entries({ yaw: "turn", pitch: "nod", roll: "tilt" }).filter(([angle]) => one[angle] !== null).map(([angle, word]) => `${word} ${Math.round(one[angle])}°`);
  const shapes = Object.entries(one.sliders).map(([name, value]) => `${name.toLowerCase()} ${value}`);
  const feeling = one.emotion ? [one.emotion.word ?? `feeling ${one.emotion.valence}/${one.emotion.arousal}`] : [];
  const strength = one.expression && one.strength !== null ? [`strength ${round(one.strength)}`] : [];
  return [...names(one.expression, one.pose), ...strength, ...angles, ...shapes, ...feeling, one.prompt.trim(), one.describe.trim(), ...names(...one.people)]
    .filter(Boolean).join(", ");
}

// Whether there is anything to draw.
export function asksSomething(one) {
  const { seed, scales, guidance, ...rest } = settingsOf(one, { sliders: [] });
  return one.people.length > 0 || one.expression || one.pose || Object.keys(rest).length > 0 || Object.keys(one.sliders).length > 0;
}

export function round(value) { return Math.round(value * 1000) / 1000; }
