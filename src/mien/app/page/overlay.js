// Drawing what was read: landmarks, pose and mask, over a photograph or alone.

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
let facts = null;
export function setFacts(options) { facts = options; }

function polyline(pen, points, indices) {
  pen.beginPath();
  indices.forEach((index, number) => (number ? pen.lineTo(...points[index]) : pen.moveTo(...points[index])));
  pen.stroke();
}

export function drawLandmarks(pen, points, colours, width) {
  pen.lineJoin = pen.lineCap = "round";
  for (const [name, lines] of Object.entries(facts.lines)) {
    pen.strokeStyle = name === "lips" ? colours.accent : colours.ink;
    pen.lineWidth = name === "face_oval" ? width * 0.8 : width;
    pen.globalAlpha = name === "face_oval" || name === "nose" ? 0.55 : 1;
    for (const line of lines) polyline(pen, points, line);
  }
  pen.globalAlpha = 1;
  for (const [centre, ...rim] of Object.values(facts.irises)) {
    const radius = Math.hypot(points[rim[0]][0] - points[rim[2]][0], points[rim[0]][1] - points[rim[2]][1]) / 2;
    pen.strokeStyle = pen.fillStyle = colours.accent;
    pen.lineWidth = width;
    pen.beginPath();
    pen.arc(...points[centre], Math.max(radius, width), 0, 7);
    pen.stroke();
    pen.beginPath();
    pen.arc(...points[centre], Math.max(radius / 3, width / 2), 0, 7);
    pen.fill();
  }
}

// The sketch: landmarks [478][2] of a picture of `size`, on the canvas; in the colours of now, when these change.
let sketched = null;
export const redrawSketch = () => sketched && drawSketch(...sketched);
export function drawSketch(canvas, landmarks, size) {
  sketched = [canvas, landmarks, size];
  const pen = canvas.getContext("2d");
  pen.clearRect(0, 0, canvas.width, canvas.height);
  if (!landmarks) {
    pen.fillStyle = css("--muted");
    pen.font = "italic 24px Georgia, serif";
    pen.textAlign = "center";
    pen.fillText("Words alone decide the face.", canvas.width / 2, canvas.height / 2);
    return;
  }
  const scale = canvas.width / size;
  drawLandmarks(pen, landmarks.map(([x, y]) => [x * scale, y * scale]), { ink: css("--ink"), accent: css("--accent") }, 2.6);
}

// Over a photograph of which `read` was answered; `layers` names what to draw.
export async function drawReading(canvas, read, layers) {
  const [width, height] = read.size;
  const scale = Math.min(1, 1024 / Math.max(width, height));
  canvas.width = width * scale;
  canvas.height = height * scale;
  const pen = canvas.getContext("2d");
  const face = read.faces[0];
  if (layers.includes("mask") && face.mask) {
    const mask = new Image();
    mask.src = `data:image/png;base64,${face.mask}`;
    await mask.decode();
    pen.fillStyle = "rgb(0 0 0 / .65)"; // over everything but the skin, which keeps its colour
    pen.fillRect(0, 0, canvas.width, canvas.height);
    pen.globalCompositeOperation = "destination-out";
    pen.drawImage(mask, 0, 0, canvas.width, canvas.height);
    pen.globalCompositeOperation = "source-over";
  }
  const points = face.landmarks.map(([x, y]) => [x * scale, y * scale]);
  const [x0, y0, x1, y1] = face.box.map((value) => value * scale);
  const line = Math.max(1, (x1 - x0) / 110);
  if (layers.includes("landmarks")) {
    pen.shadowColor = "rgb(0 0 0 / .6)";
    pen.shadowBlur = line * 2;
    drawLandmarks(pen, points, { ink: "#ffffff", accent: "#ff9d6b" }, line);
    pen.shadowBlur = 0;
  }
  if (layers.includes("pose") && face.pose) drawAxes(pen, points[4], (x1 - x0) * 0.45, face.pose, line * 1.6);
}

// How a square view of a picture is moved and enlarged, so that a small face fills it; nothing where it does already.
export function closeUp(read) {
  const [width, height] = read.size;
  const [x0, y0, x1, y1] = read.faces[0].box;
  const most = Math.max(width, height);
  const zoom = Math.min(8, most / (2 * Math.max(x1 - x0, y1 - y0)));
  if (zoom < 1.3) return "";
  const [x, y] = [(x0 + x1 + most - width) / (2 * most), (y0 + y1 + most - height) / (2 * most)];
  const moved = [x, y].map((place) => `${Math.max(1 - zoom, Math.min(0, 0.5 - zoom * place)) * 100}%`);
  return `translate(${moved.join(", ")}) scale(${zoom})`;
}

// From the tip of the nose where the face points, and its sides; yaw + to the subject's left, which is the viewer's right.
function drawAxes(pen, [x, y], length, pose, width) {
  const [yaw, pitch, roll] = ["yaw", "pitch", "roll"].map((name) => (pose[name] * Math.PI) / 180);
  const ends = [
    ["#ffd166", Math.sin(yaw) * Math.cos(pitch), -Math.sin(pitch)],
    ["#5fd3c5", Math.cos(yaw) * Math.cos(roll) * 0.6, Math.sin(roll) * 0.6],
    ["#7aa7ff", Math.sin(roll) * 0.6, -Math.cos(roll) * Math.cos(pitch) * 0.6],
  ];
  pen.lineCap = "round";
  for (const [colour, across, down] of ends) {
    for (const [stroke, thick] of [["rgb(0 0 0 / .5)", width * 1.8], [colour, width]]) {
      pen.beginPath();
      pen.strokeStyle = stroke;
      pen.lineWidth = thick;
      pen.moveTo(x, y);
      pen.lineTo(x + across * length, y + down * length);
      pen.stroke();
    }
  }
}

// What was read, in words.
export function wordsOf(read) {
  const face = read.faces[0];
  const parts = [];
  const emotions = Object.entries(face.emotion ?? {}).filter(([name]) => !["valence", "arousal"].includes(name));
  if (emotions.length) parts.push(emotions.sort((a, b) => b[1] - a[1])[0][0]);
  if (face.pose) parts.push(`turned ${signed(face.pose.yaw)}°, ${face.pose.pitch >= 0 ? "up" : "down"} ${Math.abs(Math.round(face.pose.pitch))}°`);
  if (read.faces.length > 1) parts.push(`the largest of ${read.faces.length} faces`);
  const words = parts.join(" · ");
  return words.slice(0, 1).toUpperCase() + words.slice(1);
}

const signed = (value) => `${Math.round(value) > 0 ? "+" : ""}${Math.round(value)}`;
