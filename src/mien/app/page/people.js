// Photographs: by file, drop, clipboard, camera, or from the studio; and what was read of each, drawn over it.

import { getPicture, post } from "./api.js";
import { $, clearProblems, element, showProblems } from "./dom.js";
import { closeUp, drawReading, wordsOf } from "./overlay.js";
import { addPhoto, change, photos, state } from "./state.js";

const LONGEST = 1024; // pixels; larger photographs are made smaller before they leave the browser
const LABELS = { identity: "a photo of the person", expression: "a face with the expression", pose: "a picture with the pose" };
let target = "identity"; // where a picture from the clipboard goes

async function sourceOf(blob) {
  const whole = () => new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });
  let bitmap;
  try {
    bitmap = await createImageBitmap(blob);
  } catch {
    return whole(); // a format that the server may know
  }
  const scale = LONGEST / Math.max(bitmap.width, bitmap.height);
  if (scale >= 1) return whole();
  const canvas = element("canvas", { width: Math.round(bitmap.width * scale), height: Math.round(bitmap.height * scale) });
  canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return canvas.toDataURL("image/jpeg", 0.95);
}

// Said once in each browser, at its first photograph.
function remindOfConsent() {
  let known = null;
  try { known = localStorage.getItem("consent"); } catch { /* a page without storage says it each time */ }
  $("consent").hidden = known !== null;
  $("consent-known").onclick = () => {
    $("consent").hidden = true;
    try { localStorage.setItem("consent", "known"); } catch { /* see above */ }
  };
}

export async function addBlob(role, blob, name) {
  clearProblems();
  remindOfConsent();
  if (blob.size > 40e6) return showProblems([{ field: role, message: `${name} is larger than 40 MB: choose a smaller picture.` }]);
  const source = await sourceOf(blob);
  await add(role, { name, source, url: source });
}

export async function addDrawn(role, url, name) {
  clearProblems();
  await add(role, { name, source: url, url });
}

export async function addStudio(role, name) {
  clearProblems();
  await add(role, { name, source: `studio:${name}`, url: await getPicture(`/api/studio/${name}.png`) }, true);
}

async function add(role, photo, alone = false) {
  try {
    photo.read = await post("/api/read", { picture: photo.source });
  } catch (refusal) {
    if (!refusal.errors) throw refusal;
    const own = (field) => field === "picture" || refusal.status === 413; // it is this photograph that is too large
    return showProblems(refusal.errors.map((one) => ({ ...one, field: own(one.field) ? role : one.field })));
  }
  photo.words = wordsOf(photo.read);
  const id = addPhoto(photo);
  if (role !== "identity") return change({ [role]: id });
  const uploaded = state().people.filter((one) => !photos.get(one).source.startsWith("studio:"));
  // someone from the studio takes the place of whoever is there; photographs of one's own come together
  change({ people: alone ? [id] : [...uploaded, id] });
}

function remove(role, id) {
  if (role === "identity") change({ people: state().people.filter((one) => one !== id) });
  else change({ [role]: null });
}

export function buildPickers() {
  for (const role of Object.keys(LABELS)) {
    const input = element("input", { type: "file", accept: "image/*", multiple: role === "identity", hidden: true, id: `${role}-file`, ariaLabel: LABELS[role] });
    input.addEventListener("change", async () => {
      for (const file of [...input.files]) await addBlob(role, file, file.name);
      input.value = "";
    });
    const button = (words, work) => {
      const made = element("button", { type: "button", textContent: words });
      made.addEventListener("click", work);
      return made;
    };
    const zone = element("div", { className: "drop" }, element("span", { textContent: `Drop ${LABELS[role]} here` }), input,
      element("div", { className: "row" },
        button("Choose", () => input.click()),
        button("Paste", () => paste(role)),
        button("Camera", () => openCamera(role))));
    for (const kind of ["dragover", "dragenter"])
      zone.addEventListener(kind, (event) => { event.preventDefault(); zone.classList.add("over"); });
    zone.addEventListener("dragleave", () => zone.classList.remove("over"));
    zone.addEventListener("drop", async (event) => {
      event.preventDefault();
      zone.classList.remove("over");
      for (const file of [...event.dataTransfer.files].slice(0, role === "identity" ? 8 : 1)) await addBlob(role, file, file.name);
    });
    zone.addEventListener("pointerenter", () => { target = role; });
    zone.addEventListener("focusin", () => { target = role; });
    $(`${role}-picker`).append(zone);
  }
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => event.preventDefault()); // or the browser would leave the page
  document.addEventListener("paste", async (event) => {
    const file = [...event.clipboardData.files].find((one) => one.type.startsWith("image/"));
    if (file) await addBlob(target, file, "from the clipboard");
  });
}

async function paste(role) {
  clearProblems();
  try {
    for (const item of await navigator.clipboard.read()) {
      const type = item.types.find((one) => one.startsWith("image/"));
      if (type) return addBlob(role, await item.getType(type), "from the clipboard");
    }
    showProblems([{ field: role, message: "There is no picture in the clipboard." }]);
  } catch {
    showProblems([{ field: role, message: "The browser does not let pages read the clipboard: press Ctrl V instead." }]);
  }
}

async function openCamera(role) {
  const [dialog, video] = [$("camera"), $("camera-video")];
  $("camera-problem").textContent = "";
  dialog.showModal();
  let stream = null;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "user" } });
    video.srcObject = stream;
  } catch {
    $("camera-problem").textContent = "There is no camera, or it may not be used: allow it in the browser, or choose a file.";
  }
  $("camera-take").disabled = !stream;
  $("camera-take").onclick = () => {
    const canvas = element("canvas", { width: video.videoWidth, height: video.videoHeight });
    canvas.getContext("2d").drawImage(video, 0, 0);
    canvas.toBlob(async (blob) => { dialog.close(); await addBlob(role, blob, "from the camera"); }, "image/png");
  };
  dialog.onclose = () => stream?.getTracks().forEach((track) => track.stop());
}

export async function buildStudio(options) {
  const groups = { identity: ["studio-people", options.people], expression: ["studio-templates", options.templates] };
  for (const [role, [place, names]] of Object.entries(groups)) {
    for (const name of names) {
      const image = element("img", { alt: "", width: 56, height: 56 });
      const button = element("button", { type: "button", ariaPressed: "false" }, image, name);
      button.dataset.name = name;
      button.addEventListener("click", () => (button.ariaPressed === "true" && role !== "identity" ? change({ [role]: null }) : addStudio(role, name)));
      $(place).append(button);
      getPicture(`/api/studio/${name}.png`).then((url) => { image.src = url; });
    }
  }
}

let lastShown = "";
export function showPhotos(one) {
  const ids = JSON.stringify([one.people, one.expression, one.pose]);
  if (ids === lastShown) return; // a card that is being used is not built anew
  lastShown = ids;
  const shown = { identity: one.people, expression: one.expression ? [one.expression] : [], pose: one.pose ? [one.pose] : [] };
  for (const [role, ids] of Object.entries(shown)) $(`${role}-photos`).replaceChildren(...ids.map((id) => card(role, id, ids.length)));
  const pressed = (place, ids) => {
    const names = ids.map((id) => photos.get(id)).filter((photo) => photo.source.startsWith("studio:")).map((photo) => photo.name);
    for (const button of $(place).children) button.ariaPressed = String(names.includes(button.dataset.name));
  };
  pressed("studio-people", shown.identity);
  pressed("studio-templates", shown.expression);
}

function card(role, id, count) {
  const photo = photos.get(id);
  const canvas = element("canvas");
  drawReading(canvas, photo.read, ["landmarks", "pose"]);
  const view = element("button", { type: "button", className: "view", ariaLabel: `Look at what was read in ${photo.name}` }, element("img", { src: photo.url, alt: "" }), canvas);
  for (const layer of view.children) layer.style.transform = closeUp(photo.read);
  view.addEventListener("click", () => look(photo));
  const away = element("button", { type: "button", className: "remove", textContent: "Remove", ariaLabel: `Remove ${photo.name}` });
  away.addEventListener("click", () => remove(role, id));
  const side = element("div", {}, element("p", {}, element("strong", { textContent: photo.name }), photo.words));
  if (role === "identity" && count > 1) {
    const range = element("input", { type: "range", min: 0.1, max: 2, step: 0.1, value: state().weights[id] ?? 1, ariaLabel: `Share of ${photo.name}` });
    range.addEventListener("input", () => change({ weights: { ...state().weights, [id]: Number(range.value) } }, `weight ${id}`));
    side.append(element("div", { className: "weight" }, "Share", range));
  }
  side.append(away);
  return element("div", { className: "photo" }, view, side);
}

function look(photo) {
  const layers = () => [...document.querySelectorAll("#look-layers input:checked")].map((box) => box.value);
  $("look-title").textContent = `What was read in ${photo.name}`;
  $("look-image").src = photo.url;
  $("look-image").alt = photo.name;
  const face = photo.read.faces[0];
  const feeling = face.emotion ? ` Valence ${face.emotion.valence.toFixed(2)}, arousal ${face.emotion.arousal.toFixed(2)}.` : "";
  $("look-words").textContent = `${photo.words}.${feeling} Read by ${face.reader}, score ${face.score.toFixed(2)}.`;
  const redraw = () => drawReading($("look-canvas"), photo.read, layers());
  $("look-layers").onchange = redraw;
  redraw();
  $("look").showModal();
}
