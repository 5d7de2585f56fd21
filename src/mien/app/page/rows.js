// Sweeps: one control changed step by step. And a person who moves as a video moves.

import { postForFile } from "./api.js";
import { $, clearProblems, element, saveAs, showProblems, status } from "./dom.js";
import { download } from "./download.js";
import { addStrip } from "./gallery.js";
import { job } from "./stage.js";
import { picturesOf, round, settingsOf, state } from "./state.js";

let options = null;

export function buildRows(given) {
  options = given;
  const controls = [["yaw", "Turn", -35, 35], ["pitch", "Nod", -20, 20], ["roll", "Tilt", -15, 15],
    ...options.sliders.map((one) => [one.name, one.name, one.low.length ? -1 : 0, 1]), ["valence", "Feeling: pleasantness", -0.8, 0.8], ["arousal", "Feeling: arousal", -0.8, 0.8]];
  const select = $("sweep-control");
  for (const [value, words] of controls) select.append(element("option", { value, textContent: words }));
  const ends = () => { const [, , low, high] = controls.find(([value]) => value === select.value); $("sweep-from").value = low; $("sweep-to").value = high; };
  select.addEventListener("change", ends);
  ends();
  $("sweep-open").addEventListener("click", () => $("sweep").showModal());
  $("sweep-go").addEventListener("click", sweep);
  $("video-open").addEventListener("click", () => $("video").showModal());
  $("video-go").addEventListener("click", animate);
  $("video-save").addEventListener("click", saveFilm);
}

// The state of one step of a row.
function stepOf(one, control, value) {
  if (["yaw", "pitch", "roll"].includes(control)) return { ...one, [control]: value };
  if (!["valence", "arousal"].includes(control)) return { ...one, sliders: { ...one.sliders, [control]: value } };
  const { valence = 0, arousal = 0 } = one.emotion ?? {};
  return { ...one, emotion: { valence, arousal, [control]: value } };
}

async function sweep() {
  const control = $("sweep-control").value;
  const [from, to, count] = ["sweep-from", "sweep-to", "sweep-count"].map((id) => $(id).valueAsNumber);
  clearProblems();
  if (![from, to, count].every(Number.isFinite) || count < 2 || count > 12)
    return showProblems([{ field: "rows", message: "A row has a first and a last value, and 2 to 12 pictures." }]);
  const values = Array.from({ length: count }, (_, i) => round(from + ((to - from) * i) / (count - 1)));
  const speed = state().speed === "auto" ? "few" : state().speed;
  const pictures = [];
  $("sweep").close();
  const name = $("sweep-control").selectedOptions[0].textContent;
  const states = values.map((value) => stepOf(state(), control, value));
  const rows = states.map((one) => settingsOf(one, options));
  const body = { ...picturesOf(state()), speed, rows: rows.map((row) => ({ ...row, speed })) };
  const all = await job(body, { show: ({ url, lines, seed, picture: i }) => { pictures[i] = { url, lines, seed, speed, state: states[i], words: `${name} ${values[i]}` }; } });
  if (all) addStrip(`${name}, ${from} to ${to}`, pictures);
  else if (document.querySelector('[data-field="rows count"]').textContent) $("sweep").showModal();
}

export async function downloadRow(pictures) {
  for (const [number, one] of pictures.entries()) await download(one.url, `row-${String(number + 1).padStart(2, "0")}`);
}

async function framesOf(file, rate, most) {
  const video = element("video", { muted: true, src: URL.createObjectURL(file) });
  await new Promise((resolve, reject) => { video.onloadeddata = resolve; video.onerror = reject; });
  const scale = Math.min(1, 512 / Math.max(video.videoWidth, video.videoHeight));
  const canvas = element("canvas", { width: video.videoWidth * scale, height: video.videoHeight * scale });
  const frames = [];
  for (let time = 0; frames.length < most && time < (video.duration || 0); time += 1 / rate) {
    await new Promise((resolve) => { video.onseeked = resolve; video.currentTime = Math.min(time + 1e-3, video.duration); });
    canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
    frames.push(canvas.toDataURL("image/jpeg", 0.92));
  }
  URL.revokeObjectURL(video.src);
  return frames;
}

async function animate() {
  clearProblems();
  const fail = (message) => showProblems([{ field: "video", message }]);
  const file = $("video-file").files[0];
  const [rate, most] = ["video-rate", "video-most"].map((id) => $(id).valueAsNumber);
  if (!file) return fail("Choose a video first.");
  if (!(rate >= 1 && rate <= 12 && most >= 2 && most <= 48)) return fail("Take 1 to 12 frames a second, and 2 to 48 of them.");
  if (!state().people.length) return fail("Choose a person first.");
  let frames;
  try {
    frames = await framesOf(file, rate, most);
  } catch {
    return fail("The browser cannot play this video: save it as MP4 (H.264) or WebM.");
  }
  if (frames.length < 2) return fail("The video is too short.");
  const { expression, pose, ...who } = picturesOf(state());
  const { blendshapes, yaw, pitch, roll, ...settings } = settingsOf(state(), options);
  const plain = { ...state(), expression: null, pose: null, sliders: {}, yaw: null, pitch: null, roll: null };
  const drawn = [];
  $("video-save").disabled = true;
  for (const [number, frame] of frames.entries()) {
    $("video-words").textContent = `Frame ${number + 1} of ${frames.length}`;
    const words = `frame ${number + 1}`;
    const all = await job({ ...settings, ...who, expression: frame, speed: "few" },
      { show: ({ url, lines, seed }) => drawn.push({ url, lines, seed, speed: "few", state: plain, template: { source: frame, name: words }, words }) });
    if (!all) {
      const words = [...document.querySelectorAll(".problem")].find((one) => one.textContent)?.textContent;
      clearProblems();
      if (!words) { $("video-words").textContent = "Cancelled."; return; }
      if (!words.startsWith("No face")) return fail(words);
    }
  }
  status("Ready", "ready");
  $("video-words").textContent = `${drawn.length} of ${frames.length} frames showed a face.`;
  if (drawn.length < 2) return fail("Fewer than two frames showed a face.");
  play(drawn, rate);
  film = { frames: drawn.map(({ url }) => url), rate };
  $("video-save").disabled = false;
  addStrip(`From ${file.name}`, drawn);
}

// The frames that were drawn last, as one file: an animated WebP with its record.
let film = null;
async function saveFilm() {
  clearProblems();
  $("video-save").disabled = true;
  try {
    saveAs(await postForFile("/api/video", film, "image/webp"), "portrait.webp");
  } catch (problem) {
    if (!problem.errors) throw problem;
    showProblems(problem.errors.map(({ message }) => ({ field: "video", message })));
  } finally {
    $("video-save").disabled = false;
  }
}

let playing = null;
async function play(drawn, rate) {
  clearInterval(playing);
  const canvas = $("video-canvas");
  canvas.hidden = false;
  const images = await Promise.all(drawn.map(async ({ url }) => { const image = new Image(); image.src = url; await image.decode(); return image; }));
  let number = 0;
  playing = setInterval(() => {
    if (!$("video").open) return clearInterval(playing);
    canvas.getContext("2d").drawImage(images[number++ % images.length], 0, 0, canvas.width, canvas.height);
  }, 1000 / rate);
}
