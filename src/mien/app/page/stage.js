// The portrait: a quick one at once, a refined one when the hand rests; the landmark preview before both.

import { draw, post } from "./api.js";
import { $, clearProblems, dataUrl, element, showProblems, status } from "./dom.js";
import { addPicture, markShown } from "./gallery.js";
import { drawSketch } from "./overlay.js";
import { asksSomething, facesOf, picturesOf, settingsOf, state } from "./state.js";

const SOON = 180, REST = 900; // ms after the last change: the quick picture, the refined one
let options = null, running = null, timer = null, rest = null, previewing = false, previewAgain = false;
let current = null; // the picture on the easel: {url, seed, state, speed}

export function setOptions(given) { options = given; }
export const shownPicture = () => current;

// Something was changed: whatever is drawn is out of date.
export function touched({ at_once = false } = {}) {
  clearTimeout(timer);
  clearTimeout(rest);
  if (running?.automatic) running.abort();
  clearProblems();
  compare(null, null);
  preview();
  if (!asksSomething(state())) return;
  timer = setTimeout(() => automatic(), at_once ? 0 : SOON);
}

async function automatic() {
  if (running && !running.automatic) { // what a hand has asked for goes first
    timer = setTimeout(automatic, SOON);
    return;
  }
  const one = state();
  const first = one.speed === "auto" ? "few" : one.speed;
  const drawn = await picture(one, first, true);
  if (!drawn) return;
  const left = one.speed === "auto" ? REST : REST / 2;
  rest = setTimeout(async () => {
    const refined = one.speed === "auto" ? await picture(one, "exact", true) : drawn;
    if (refined) addPicture(refined);
  }, left);
}

// The landmarks of what is asked for now; while one request is on its way the next waits.
export async function preview() {
  if (previewing) { previewAgain = true; return; }
  const faces = facesOf(state());
  if (!faces || !asksSomething(state())) return;
  previewing = true;
  try {
    const speed = state().speed === "auto" ? "exact" : state().speed;
    const found = await post("/api/preview", { ...settingsOf(state(), options), speed, faces });
    drawSketch($("sketch"), found.landmarks, found.size);
    showLines(found);
  } catch (refusal) {
    if (refusal.errors) showProblems(refusal.errors);
    else throw refusal;
  } finally {
    previewing = false;
    if (previewAgain) { previewAgain = false; preview(); }
  }
}

// The lines that draw what is asked for, or what is shown; no option is torn apart where the line breaks.
function showLines({ command, python }) {
  $("command").replaceChildren(...command.split(/ (?=--?[a-z])/).flatMap((option, i) => [i ? " " : "", element("span", { textContent: option })]));
  $("python").textContent = python;
}

async function picture(one, speed, is_automatic) {
  const pictures = await job({ ...settingsOf(one, options), ...picturesOf(one), speed, previews: speed === "few" ? 0 : 4 }, {
    automatic: is_automatic,
    quiet: one.speed === "auto" && speed === "exact", // the quick picture stays until the refined one is there
    show: ({ url, lines }) => show({ url, lines, seed: one.seed, state: one, speed }),
  });
  return pictures && current;
}

// Draw a body; `show` takes each finished picture. True when all came.
export async function job(body, { automatic = false, quiet = false, show: take }) {
  if (automatic) running?.abort();
  else cancel(); // also what would begin in a moment
  const control = new AbortController();
  const own = (running = { abort: () => control.abort(), automatic });
  if (!automatic) clearProblems(); // what follows by itself says nothing of a photo that was refused meanwhile
  busy(true);
  if (body.speed === "few") body = unguided(body);
  let count = 0;
  const total = body.rows?.length || body.count || 1;
  try {
    for await (const { name, values } of draw(body, control.signal)) {
      if (name === "queued") status(values.ahead ? `Waiting: ${values.ahead} before this one` : "Reading the pictures", "busy");
      if (name === "read") tellRead(values);
      if (name === "progress") {
        const share = (count + values.step / values.steps) / total;
        $("progress").value = Math.max($("progress").value, Math.min(1, share));
        status(quiet ? "Refining" : "Drawing", "busy");
      }
      if (name === "preview" && !quiet && total === 1) rough(dataUrl(values.image, "jpeg"));
      if (name === "picture") {
        count += 1;
        const { command, python } = values;
        take({ ...values, url: dataUrl(values.image), lines: { command, python } });
      }
    }
    status("Ready", "ready");
    return true;
  } catch (problem) {
    if (problem.name === "AbortError") { if (running === own) status("Cancelled", "ready"); return false; }
    if (!problem.errors) throw problem;
    showProblems(problem.errors);
    status("Not drawn: see the sentence in red", "failed");
    return false;
  } finally {
    if (running === own) { running = null; busy(false); }
  }
}

// The quick mode has its guidance inside, and takes no other.
function unguided({ guidance, rows, ...rest }) {
  return rows ? { ...rest, rows: rows.map(({ guidance: _, ...row }) => row) } : rest;
}

export function cancel() {
  clearTimeout(timer);
  clearTimeout(rest);
  running?.abort();
}

export const drawNow = () => { cancel(); automatic(); };

function busy(is) {
  for (const id of ["cancel", "video-cancel"]) $(id).disabled = !is;
  $("progress").hidden = !is;
  if (is) $("progress").value = 0;
  $("stage").setAttribute("aria-busy", String(is));
}

function rough(url) {
  const image = $("portrait");
  image.src = url;
  image.classList.add("rough");
  image.hidden = false;
  $("waiting").hidden = true;
}

export function show(picture) {
  current = picture;
  const image = $("portrait");
  image.src = picture.url;
  image.classList.remove("rough");
  image.alt = `Portrait, seed ${picture.seed}, ${picture.speed}`;
  image.hidden = false;
  $("waiting").hidden = true;
  $("caption").textContent = `Seed ${picture.seed}, ${picture.speed}`;
  for (const id of ["keep", "download", "variations", "as-identity", "as-expression", "as-settings", "compare"]) $(id).disabled = false;
  showLines(picture.lines);
  markShown(picture);
}

function tellRead({ words, notes }) {
  $("read-as").textContent = words ? words[0].toUpperCase() + words.slice(1) + "." : "";
  $("notes").replaceChildren(...notes.map((note) => element("li", { textContent: note })));
}

// A beside B, with a line between them that can be moved; null ends it.
export function compare(a, b) {
  const [image, wipe, range] = [$("portrait-b"), $("wipe"), $("wipe-range")];
  image.hidden = wipe.hidden = $("compare-marks").hidden = !b;
  if (!b) return;
  cancel();
  show(a);
  image.src = b.url;
  image.alt = `B: portrait, seed ${b.seed}, ${b.speed}`;
  const cut = () => {
    image.style.clipPath = `inset(0 0 0 ${range.value}%)`;
    $("cut").style.left = `${range.value}%`;
  };
  range.oninput = cut;
  cut();
  range.focus();
}
