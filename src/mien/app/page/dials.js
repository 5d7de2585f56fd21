// Sliders for the face, the head and the strengths, the circle of feelings, and the head that can be dragged.

import { $, element } from "./dom.js";
import { change, endMerge, photos, round, state } from "./state.js";

const STRENGTHS = { landmarks: "Landmarks", expression: "Expression picture", emotion: "Feeling" };
const GUIDANCE = { identity: "Likeness to the person", text: "Words" };
const ANGLES = {
  yaw: ["Turn", "to the subject's right", "to the subject's left", 45],
  pitch: ["Nod", "down", "up", 30],
  roll: ["Tilt", "right shoulder", "left shoulder", 30],
};
const shown = []; // functions that bring a control in line with a state

function slider(name, low, high, step, ends, read, write, words) {
  const id = `dial-${name.toLowerCase().replace(/\W+/g, "-")}`;
  const range = element("input", { type: "range", id, min: low, max: high, step });
  const output = element("output", { htmlFor: id });
  const clear = element("button", { type: "button", className: "clear", textContent: "×", ariaLabel: `Clear ${name}`, title: "Clear" });
  const box = element("div", { className: "slider" }, element("label", { htmlFor: id, textContent: name }), output,
    element("div", { className: "line" }, range, clear),
    element("div", { className: "ends", ariaHidden: "true" }, element("span", { textContent: ends[0] }), element("span", { textContent: ends[1] })));
  range.addEventListener("input", () => write(Number(range.value), id));
  range.addEventListener("change", endMerge);
  clear.addEventListener("click", () => { write(null, null); range.focus(); });
  shown.push((one) => {
    const { value, usual } = read(one);
    const touched = value !== null && value !== undefined;
    range.value = touched ? value : usual;
    output.textContent = words(touched ? value : usual, touched);
    range.setAttribute("aria-valuetext", output.textContent);
    clear.disabled = !touched;
    box.classList.toggle("touched", touched);
  });
  return box;
}

// What a slider shows while nobody has touched it: what was read in the expression picture, else rest.
function readValue(one, dial) {
  const face = one.expression && photos.get(one.expression).read?.faces[0];
  if (!face?.blendshapes) return 0;
  const mean = (names) => (names.length ? names.reduce((sum, name) => sum + (face.blendshapes[name] ?? 0), 0) / names.length : 0);
  return round(mean(dial.high) - mean(dial.low));
}

export function buildDials(options) {
  for (const dial of options.sliders) {
    $("sliders").append(slider(dial.name, dial.low.length ? -1 : 0, 1, 0.02, dial.ends,
      (one) => ({ value: one.sliders[dial.name], usual: readValue(one, dial) }),
      (value, merge) => {
        const { [dial.name]: _, ...others } = state().sliders;
        change({ sliders: value === null ? others : { ...others, [dial.name]: value } }, merge);
      },
      (value, touched) => (touched ? value.toFixed(2) : Math.abs(value) >= 0.05 ? `${value.toFixed(2)}, as read` : "at rest")));
  }
  for (const [angle, [name, low, high, most]] of Object.entries(ANGLES)) {
    $("angles").append(slider(name, -most, most, 1, [low, high],
      (one) => ({ value: one[angle], usual: givenAngle(one, angle) }),
      (value, merge) => change({ [angle]: value }, merge),
      (value, touched) => `${Math.round(value)}°${touched ? "" : ", as given"}${Math.abs(value) > options.pose.learned[Object.keys(ANGLES).indexOf(angle)] ? ", rarely seen" : ""}`));
  }
  $("expression-strength").append(slider("How strong", 0, 2, 0.05, ["at rest", "exaggerated"],
    (one) => ({ value: one.strength, usual: 1 }),
    (value, merge) => change({ strength: value }, merge),
    (value, touched) => (touched ? `${value.toFixed(2)} times` : "as read")));
  shown.push((one) => { $("expression-strength").hidden = !one.expression; });
  for (const [branch, name] of Object.entries(STRENGTHS)) {
    $("strengths").append(slider(name, 0, 2, 0.05, ["off", "twice"],
      (one) => ({ value: one.scales[branch], usual: options.scales[branch] }),
      (value, merge) => {
        const { [branch]: _, ...others } = state().scales;
        change({ scales: value === null ? others : { ...others, [branch]: value } }, merge);
      },
      (value, touched) => (touched ? value.toFixed(2) : value ? "the usual" : "off")));
  }
  for (const [dial, name] of Object.entries(GUIDANCE)) {
    $("guidance").append(slider(name, 0, 8, 0.25, ["loose", "close"],
      (one) => ({ value: one.guidance[dial], usual: options.guidance[dial] }),
      (value, merge) => {
        const { [dial]: _, ...others } = state().guidance;
        change({ guidance: value === null ? others : { ...others, [dial]: value } }, merge);
      },
      (value, touched) => (touched ? value.toFixed(2) : "the usual")));
  }
  $("face-reset").addEventListener("click", () => change({ sliders: {} }));
  $("head-reset").addEventListener("click", () => change({ yaw: null, pitch: null, roll: null }));
  buildCircle(options.circumplex);
  buildHead();
}

export function showDials(one) {
  for (const show of shown) show(one);
  $("face-reset").disabled = !Object.keys(one.sliders).length;
  $("head-reset").disabled = [one.yaw, one.pitch, one.roll].every((angle) => angle === null);
  $("feeling-reset").disabled = !one.emotion;
}

function givenAngle(one, angle) {
  const donor = one.pose ?? one.expression;
  const pose = donor && photos.get(donor).read?.faces[0].pose;
  return pose ? Math.round(pose[angle]) : 0;
}

function buildHead() {
  const canvas = $("sketch");
  let last = null;
  const limit = (value, most) => Math.round(Math.max(-most, Math.min(most, value)));
  const turn = (yaw, pitch, roll, merge) => {
    const one = state();
    const now = (angle) => one[angle] ?? givenAngle(one, angle);
    const values = {};
    if (yaw) values.yaw = limit(now("yaw") + yaw, 45);
    if (pitch) values.pitch = limit(now("pitch") + pitch, 30);
    if (roll) values.roll = limit(now("roll") + roll, 30);
    if (Object.keys(values).length) change(values, merge);
  };
  canvas.addEventListener("pointerdown", (event) => { canvas.setPointerCapture(event.pointerId); last = [event.clientX, event.clientY]; });
  canvas.addEventListener("pointermove", (event) => {
    if (!last) return;
    const [across, down] = [event.clientX - last[0], event.clientY - last[1]].map((pixels) => Math.trunc(pixels / 3));
    if (!across && !down) return;
    last = [last[0] + across * 3, last[1] + down * 3];
    if (event.shiftKey) turn(0, 0, across, "drag"); // the subject's left shoulder is on the viewer's right
    else turn(across, -down, 0, "drag");
  });
  for (const kind of ["pointerup", "pointercancel"]) canvas.addEventListener(kind, () => { last = null; endMerge(); });
  canvas.addEventListener("keydown", (event) => {
    const steps = { ArrowLeft: [-3, 0, 0], ArrowRight: [3, 0, 0], ArrowUp: [0, 3, 0], ArrowDown: [0, -3, 0] };
    const step = steps[event.key];
    if (!step) return;
    event.preventDefault();
    turn(...(event.shiftKey ? [0, 0, step[0]] : step), "keys");
  });
  shown.push((one) => {
    const [yaw, pitch, roll] = ["yaw", "pitch", "roll"].map((angle) => one[angle] ?? givenAngle(one, angle));
    canvas.setAttribute("aria-valuenow", yaw);
    canvas.setAttribute("aria-valuetext", `turned ${yaw}, nodded ${pitch}, tilted ${roll} degrees`);
  });
}

function buildCircle(places) {
  const box = $("circle");
  const pad = element("div", { className: "pad", tabIndex: 0, role: "slider", ariaLabel: "Feeling: unpleasant to pleasant, and calm to excited" });
  for (const [name, value] of [["aria-valuemin", -1], ["aria-valuemax", 1]]) pad.setAttribute(name, value);
  const point = element("div", { className: "point", hidden: true });
  for (const [valence, arousal] of Object.values(places)) {
    const dot = element("div", { className: "place" });
    put(dot, valence, arousal);
    pad.append(dot);
  }
  pad.append(point);
  box.append(pad);
  const buttons = {};
  for (const [word, angle] of spread(places)) {
    const button = element("button", { type: "button", textContent: word, ariaPressed: "false" });
    if (angle === null) {
      Object.assign(button.style, { left: "52%", top: "56%", transform: "translate(-50%, -50%)" });
      button.classList.add("middle");
    } else {
      const [across, up] = [Math.cos(angle), Math.sin(angle)];
      const shift = across > 0.35 ? "0" : across < -0.35 ? "-100%" : "-50%";
      Object.assign(button.style, { left: `${52 + across * 32}%`, top: `${49.3 - up * 46}%`, transform: `translate(${shift}, -50%)` });
    }
    button.addEventListener("click", () => change({ emotion: { word, valence: places[word][0], arousal: places[word][1] } }));
    buttons[word] = button;
    box.append(button);
  }
  const set = (valence, arousal, merge) => {
    const length = Math.max(1, Math.hypot(valence, arousal));
    change({ emotion: { valence: round(valence / length), arousal: round(arousal / length) } }, merge);
  };
  let dragging = false;
  const follow = (event) => {
    const area = pad.getBoundingClientRect();
    set(((event.clientX - area.left) / area.width) * 2 - 1, 1 - ((event.clientY - area.top) / area.height) * 2, "circle");
  };
  pad.addEventListener("pointerdown", (event) => { dragging = true; pad.setPointerCapture(event.pointerId); follow(event); });
  pad.addEventListener("pointermove", (event) => { if (dragging) follow(event); });
  for (const kind of ["pointerup", "pointercancel"]) pad.addEventListener(kind, () => { dragging = false; endMerge(); });
  pad.addEventListener("keydown", (event) => {
    const steps = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, 0.1], ArrowDown: [0, -0.1] };
    if (!steps[event.key]) return;
    event.preventDefault();
    const { valence = 0, arousal = 0 } = state().emotion ?? {};
    set(valence + steps[event.key][0], arousal + steps[event.key][1], "circle keys");
  });
  $("feeling-reset").addEventListener("click", () => change({ emotion: null }));
  shown.push((one) => {
    const { valence = 0, arousal = 0, word } = one.emotion ?? {};
    point.hidden = !one.emotion;
    put(point, valence, arousal);
    for (const [name, button] of Object.entries(buttons)) button.ariaPressed = String(name === word);
    const told = one.emotion ? `${word ? `${word}: ` : ""}valence ${valence.toFixed(2)}, arousal ${arousal.toFixed(2)}` : "No feeling is asked for.";
    $("feeling-words").textContent = told;
    pad.setAttribute("aria-valuenow", valence);
    pad.setAttribute("aria-valuetext", told);
  });
}

function put(dot, valence, arousal) { Object.assign(dot.style, { left: `${50 + valence * 50}%`, top: `${50 - arousal * 50}%` }); }

// Each word beside its place on the rim, far enough from its neighbours to be read; null in the middle.
function spread(places) {
  const apart = (30 * Math.PI) / 180;
  const rim = Object.entries(places).filter(([, [v, a]]) => v || a).map(([word, [v, a]]) => [word, Math.atan2(a, v)])
    .map(([word, angle]) => [word, angle < -Math.PI / 2 ? angle + 2 * Math.PI : angle]).sort((a, b) => a[1] - b[1]);
  for (let turn = 0; turn < 40; turn++) {
    for (let i = 1; i < rim.length; i++) {
      const lack = apart - (rim[i][1] - rim[i - 1][1]);
      if (lack > 0) { rim[i][1] += lack / 2; rim[i - 1][1] -= lack / 2; }
    }
  }
  return [...rim, ...Object.keys(places).filter((word) => !places[word][0] && !places[word][1]).map((word) => [word, null])];
}
