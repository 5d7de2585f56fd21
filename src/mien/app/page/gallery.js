// Pictures that came to rest, and what can be done with each.

import { $, element } from "./dom.js";
import { summaryOf } from "./state.js";

const items = [];
let actions = null;

export function setActions(given) { actions = given; }

function button(words, work) {
  const made = element("button", { type: "button", textContent: words });
  made.addEventListener("click", work);
  return made;
}

export function addPicture(picture) {
  if (items.some((one) => one.picture.url === picture.url)) return;
  $("gallery-empty").hidden = true;
  const words = picture.words ?? `${summaryOf(picture.state)} · seed\u00a0${picture.seed}`;
  const open = element("button", { type: "button", className: "open", ariaLabel: `Show the portrait: ${words}, ${picture.speed}` }, element("img", { src: picture.url, alt: "" }));
  open.addEventListener("click", () => actions.open(picture));
  const away = button("Remove", () => { item.remove(); items.splice(items.indexOf(entry), 1); $("gallery-empty").hidden = items.length > 0; });
  away.className = "quiet";
  away.ariaLabel = `Remove the portrait: ${words}`;
  const item = element("li", {}, open, element("span", { className: "words", textContent: words, title: words }), away);
  const entry = { picture, item };
  items.push(entry);
  $("gallery").prepend(item);
  markShown(picture);
}

export function addStrip(title, pictures) {
  $("gallery-empty").hidden = true;
  const row = element("div", { className: "pictures", tabIndex: 0, role: "group", ariaLabel: title }, ...pictures.map((one) => {
    const open = element("button", { type: "button", className: "open", ariaLabel: `Show ${one.words}` }, element("img", { src: one.url, alt: "" }));
    open.addEventListener("click", () => actions.open(one));
    return element("div", {}, open, element("span", { className: "words", textContent: one.words }));
  }));
  const item = element("li", { className: "strip" }, element("h3", { textContent: title }), row, element("div", { className: "row" },
    button("Download the row", () => actions.downloadRow(pictures)), button("Remove", () => item.remove())));
  $("gallery").prepend(item);
}

export function markShown(picture) {
  for (const one of items) one.item.classList.toggle("shown", one.picture.url === picture.url);
}
