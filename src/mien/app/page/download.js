// A picture that was drawn here as a file, in the format that is chosen beside the button.

import { postForFile } from "./api.js";
import { $, clearProblems, saveAs, showProblems } from "./dom.js";

const ENDINGS = { "image/png": "png", "image/jpeg": "jpg", "image/webp": "webp" };

export async function download(url, name) {
  const format = $("format").value;
  clearProblems();
  try {
    saveAs(format === "image/png" ? url : await postForFile("/api/save", { picture: url, format }, format), `${name}.${ENDINGS[format]}`);
  } catch (problem) {
    if (!problem.errors) throw problem;
    showProblems(problem.errors);
  }
}
