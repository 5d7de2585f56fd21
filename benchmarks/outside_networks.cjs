// Reads faces with @vladmandic/face-api: SSD MobileNet detector, 68 landmarks, recognition (128), seven expressions.
// One line of JSON in ({"file", "width", "height"}: raw RGB bytes), one out ({"score", "descriptor", "expressions"}).
const fs = require('fs');
const path = require('path');
const readline = require('readline');
const { createRequire } = require('module');

const load = createRequire(path.join(process.argv[2], 'package.json'));
const wasm = load('@tensorflow/tfjs-backend-wasm');
wasm.setWasmPaths(path.join(path.dirname(load.resolve('@tensorflow/tfjs-backend-wasm')), '/'));
const faceapi = load('@vladmandic/face-api/dist/face-api.node-wasm.js');
const words = ['neutral', 'happy', 'sad', 'angry', 'fearful', 'disgusted', 'surprised'];

async function read({ file, width, height }) {
  const pixels = faceapi.tf.tensor3d(new Int32Array(fs.readFileSync(file)), [height, width, 3]);
  const options = new faceapi.SsdMobilenetv1Options({ minConfidence: 0.5 });
  const faces = await faceapi.detectAllFaces(pixels, options).withFaceLandmarks().withFaceExpressions().withFaceDescriptors();
  pixels.dispose();
  const best = faces.sort((a, b) => b.detection.score - a.detection.score)[0];
  if (!best) return { score: 0 };
  return {
    score: best.detection.score,
    descriptor: Array.from(best.descriptor),
    expressions: words.map((word) => best.expressions[word]),
  };
}

(async () => {
  await faceapi.tf.setBackend('wasm');
  await faceapi.tf.ready();
  const model = path.join(path.dirname(load.resolve('@vladmandic/face-api/package.json')), 'model');
  for (const net of ['ssdMobilenetv1', 'faceLandmark68Net', 'faceRecognitionNet', 'faceExpressionNet']) {
    await faceapi.nets[net].loadFromDisk(model);
  }
  for await (const line of readline.createInterface({ input: process.stdin })) {
    process.stdout.write(`${JSON.stringify(await read(JSON.parse(line)))}\n`);
  }
})();
