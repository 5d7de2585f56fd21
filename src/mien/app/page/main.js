// Puts the page together.

import { get } from "./api.js";
import { $, clearProblems, showProblems, status } from "./dom.js";
import { download } from "./download.js";
import { addPicture, setActions } from "./gallery.js";
import { buildDials, showDials } from "./dials.js";
import { redrawSketch, setFacts } from "./overlay.js";
import { addDrawn, addStudio, buildPickers, buildStudio, showPhotos } from "./people.js";
import { buildRows, downloadRow } from "./rows.js";
import { cancel, compare, drawNow, job, setOptions, show, shownPicture, touched } from "./stage.js";
import { canRedo, canUndo, change, endMerge, forgetPast, onChange, picturesOf, redo, restore, settingsOf, startOver, state, undo } from "./state.js";

let options = null;

function theme(value) {
  if (value) document.documentElement.dataset.theme = value;
  else delete document.documentElement.dataset.theme;
  try { localStorage.setItem("theme", value); } catch { /* a page without storage looks as the system does */ }
  redrawSketch();
}

function showState(one) {
  showPhotos(one);
  showDials(one);
  $("undo").disabled = !canUndo();
  $("redo").disabled = !canRedo();
  for (const [id, value] of [["prompt", one.prompt], ["describe", one.describe], ["seed", one.seed], ["speed", one.speed]])
    if (document.activeElement !== $(id) || id === "speed") $(id).value = value;
}

const randomSeed = () => Math.floor(Math.random() * 1e6);

async function variations(picture) {
  const speed = state().speed === "auto" ? "few" : state().speed;
  const seed = randomSeed();
  const one = { ...picture.state, seed };
  const template = picture.template && { expression: picture.template.source };
  await job({ ...settingsOf(one, options), ...picturesOf(one), ...template, speed, count: 4 },
    { show: ({ url, lines, seed: own }) => addPicture({ ...picture, url, lines, seed: own, speed, state: { ...one, seed: own }, words: `variation, seed ${own}` }) });
}

// The picture that waits for another beside it.
let marked = null;
function mark(picture) {
  marked = picture;
  compare(null, null);
  $("compare").ariaPressed = String(Boolean(picture));
  $("compare-words").textContent = picture ? "This portrait is A: choose B in the gallery." : "";
}

function open(picture) {
  if (!marked || marked.url === picture.url) {
    compare(null, null);
    return show(picture);
  }
  const a = marked;
  mark(null);
  compare(a, picture);
}

// A frame of a video was drawn from an expression that no photograph of the page shows.
async function takeSettings({ state: one, template }) {
  restore(one);
  if (template) await addDrawn("expression", template.source, template.name);
}

const use = (role, picture) => addDrawn(role, picture.url, `portrait ${picture.seed}`);

function bind() {
  $("undo").addEventListener("click", undo);
  $("redo").addEventListener("click", redo);
  $("reset").addEventListener("click", () => startOver({ people: state().people.slice(0, 1) }));
  $("theme").addEventListener("change", () => theme($("theme").value));
  $("cancel").addEventListener("click", cancel);
  $("again").addEventListener("click", drawNow);
  $("keep").addEventListener("click", () => shownPicture() && addPicture(shownPicture()));
  $("variations").addEventListener("click", () => shownPicture() && variations(shownPicture()));
  $("dice").addEventListener("click", () => { $("seed").value = randomSeed(); $("seed").dispatchEvent(new Event("change")); });
  $("as-identity").addEventListener("click", () => use("identity", shownPicture()));
  $("as-expression").addEventListener("click", () => use("expression", shownPicture()));
  $("as-settings").addEventListener("click", () => takeSettings(shownPicture()));
  $("download").addEventListener("click", () => {
    const { url, seed } = shownPicture();
    download(url, `portrait-${String(seed).padStart(4, "0")}`);
  });
  $("video-cancel").addEventListener("click", cancel);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redrawSketch);
  $("compare").addEventListener("click", () => mark(marked ? null : shownPicture()));
  for (const id of ["prompt", "describe"]) $(id).addEventListener("input", () => change({ [id]: $(id).value }, id));
  for (const id of ["prompt", "describe"]) $(id).addEventListener("change", endMerge);
  $("speed").addEventListener("change", () => change({ speed: $("speed").value }));
  $("seed").addEventListener("change", () => {
    const seed = $("seed").valueAsNumber;
    clearProblems();
    if (Number.isSafeInteger(seed) && seed >= 0) change({ seed });
    else showProblems([{ field: "seed", message: "A seed is a whole number from 0 up." }]);
  });
  for (const button of document.querySelectorAll("[data-copy]"))
    button.addEventListener("click", async () => {
      const words = button.textContent;
      try { await navigator.clipboard.writeText($(button.dataset.copy).textContent); button.textContent = "Copied"; } catch { button.textContent = "Select it and press Ctrl C"; }
      setTimeout(() => { button.textContent = words; }, 1500);
    });
  document.addEventListener("keydown", (event) => {
    const typing = event.target.matches("textarea, input[type=text], input[type=number]");
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z" && !typing) {
      event.preventDefault();
      if (event.shiftKey) redo();
      else undo();
    }
    if (event.key === "Escape" && !document.querySelector("dialog[open]")) cancel();
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) drawNow();
  });
  setActions({ open, downloadRow });
}

async function waitUntilReady() {
  for (;;) {
    const health = await get("/api/health");
    if (health.failure) { status(health.failure, "failed"); return false; }
    if (health.ready) { status("Ready", "ready"); return true; }
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
}

async function main() {
  let stored = "";
  try { stored = localStorage.getItem("theme") ?? ""; } catch { /* see above */ }
  $("theme").value = stored;
  theme(stored);
  bind();
  try {
    options = await get("/api/options");
  } catch (refusal) {
    status(refusal.message, "failed");
    if (refusal.status === 401) showProblems([{ field: "", message: "This server wants a token: open the address that it printed, which holds one." }]);
    return;
  }
  setOptions(options);
  setFacts(options);
  buildPickers();
  buildDials(options);
  buildRows(options);
  buildStudio(options);
  showState(state());
  onChange((one) => { showState(one); touched(); });
  if (!(await waitUntilReady())) return;
  Object.assign(options, await get("/api/options")); // a base says how strong its branches are once it is loaded
  await addStudio("identity", options.people[0]); // so that there is a portrait to play with
  forgetPast();
  showState(state());
}

main();
