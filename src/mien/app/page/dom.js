// Small helpers for elements, and sentences beside the field that they belong to.

export const $ = (id) => document.getElementById(id);

export function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key in made && key !== "list") made[key] = value;
    else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

const places = () => [...document.querySelectorAll(".problem[data-field]")];

export function clearProblems() {
  for (const place of places()) place.textContent = "";
}

export function showProblems(errors) {
  for (const { field, message } of errors) {
    const own = places().find((place) => place.dataset.field.split(" ").includes(field)) ?? places().find((place) => place.dataset.field === "");
    own.textContent = message;
    own.closest("details")?.setAttribute("open", "");
  }
}

export function status(words, kind) {
  const place = $("status");
  if (place.textContent !== words) place.textContent = words;
  place.dataset.state = kind;
}

export function saveAs(url, name) { element("a", { href: url, download: name }).click(); }

export const dataUrl = (image, kind = "png") => `data:image/${kind};base64,${image}`;

for (const button of document.querySelectorAll("[data-close]")) button.addEventListener("click", () => button.closest("dialog").close());
