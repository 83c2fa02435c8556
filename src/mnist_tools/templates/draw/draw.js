// Draw a digit and watch both networks of notebook 01 read it; scratch.py has the same in NumPy.
'use strict';

const SIDE = 280;  // of the board, in its own units: ten a pixel of the networks' image
const PEN = 22;    // width of a stroke, about a finger's
const byId = (id) => document.getElementById(id);
const decode = (text, Type) => new Type(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
const data = JSON.parse(byId('data').textContent);
const names = Object.keys(data.networks);  // ReLU, LReLU
const images = decode(data.images, Uint8Array);  // 784 bytes an example, 0 to 255
for (const layer of names.flatMap((name) => data.networks[name].layers)) {
  layer.W = decode(layer.W, Int8Array);
  layer.scale = decode(layer.scale, Float32Array);
  layer.b = decode(layer.b, Float32Array);
}

// ---- the networks

// y = x W + b for one image; row i of W is the 8-bit numbers times scale[i].
function affine({ W, scale, b }, x) {
  const y = Float64Array.from(b);
  x.forEach((value, i) => {
    const factor = value * scale[i];
    if (factor === 0) return;
    for (let j = 0; j < y.length; j += 1) y[j] += factor * W[i * y.length + j];
  });
  return y;
}

// The logits: affine layers with ReLU (alpha 0) or LReLU between them.
function forward({ layers, alpha }, pixels) {
  const activation = (z) => (z > 0 ? z : alpha * z);
  return layers.reduce((x, layer, i) => affine(layer, i > 0 ? x.map(activation) : x), pixels);
}

function softmax(logits) {
  const exp = Array.from(logits, (z) => Math.exp(z - Math.max(...logits)));
  const total = exp.reduce((sum, e) => sum + e);
  return exp.map((e) => e / total);
}

// 784 numbers in [0, 1], row by row -> {ReLU: [10 probabilities], LReLU: [10 probabilities]}
function predict(pixels) {
  if (pixels.length !== 784) throw new RangeError('predict takes 784 numbers in [0, 1]');
  const x = Float64Array.from(pixels);
  return Object.fromEntries(names.map((name) => [name, softmax(forward(data.networks[name], x))]));
}
window.mnistMlp = { predict };

// ---- from strokes to the image that the networks see

const sheet = Object.assign(document.createElement('canvas'), { width: 28, height: 28 })
  .getContext('2d', { willReadFrequently: true });

// Draw strokes, lists of [x, y] on the board, after x -> scale x + dx, y -> scale y + dy.
function trace(context, strokes, scale, dx, dy) {
  context.setTransform(scale, 0, 0, scale, dx, dy);
  Object.assign(context, { lineWidth: PEN, lineCap: 'round', lineJoin: 'round' });
  for (const stroke of strokes) {
    context.beginPath();
    context.moveTo(stroke[0][0], stroke[0][1] + 0.01);  // a line of no length would leave no dot
    for (const [x, y] of stroke) context.lineTo(x, y);
    context.stroke();
  }
  context.resetTransform();
}

function raster(strokes, scale, dx, dy) {
  sheet.clearRect(0, 0, 28, 28);
  trace(sheet, strokes, scale, dx, dy);
  const { data: rgba } = sheet.getImageData(0, 0, 28, 28);
  return Float64Array.from({ length: 784 }, (_, i) => rgba[4 * i + 3] / 255);
}

// As MNIST was made: the ink fills a box of 20 x 20, then its centre of mass goes to the middle.
function normalised(strokes) {
  const [left, right, top, bottom] = [0, 1].flatMap((axis) => {
    const values = strokes.flat().map((point) => point[axis]).sort((a, b) => a - b);
    return [values[0] - PEN / 2, values.at(-1) + PEN / 2];
  });
  const scale = 20 / Math.max(right - left, bottom - top);
  const dx = 14 - (scale * (left + right)) / 2;
  const dy = 14 - (scale * (top + bottom)) / 2;
  let [mass, x, y] = [0, 0, 0];
  raster(strokes, scale, dx, dy).forEach((ink, i) => {
    mass += ink;
    x += ink * ((i % 28) + 0.5);
    y += ink * (Math.floor(i / 28) + 0.5);
  });
  return raster(strokes, scale, dx + 14 - x / mass, dy + 14 - y / mass);
}

// ---- the page

const board = byId('board').getContext('2d');
const nothing = byId('answer').textContent;
let strokes = [];
let example = null;  // the button of a chosen example, which strokes are added to as they are
let current = null;  // the stroke that is being drawn

const pixelsOf = (button) => {
  const start = 784 * button.dataset.example;
  return Float64Array.from(images.subarray(start, start + 784), (byte) => byte / 255);
};

function seenPixels() {
  if (!example) return strokes.length ? normalised(strokes) : null;
  const ink = raster(strokes, 28 / SIDE, 0, 0);
  return pixelsOf(example).map((value, i) => Math.max(value, ink[i]));
}

// Dark ink on white, as in the report's figures.
function paint(canvas, pixels) {
  const picture = new ImageData(28, 28);
  picture.data.forEach((_, i) => {
    picture.data[i] = i % 4 === 3 ? 255 : 255 * (1 - pixels[Math.floor(i / 4)]);
  });
  canvas.getContext('2d').putImageData(picture, 0, 0);
}

function paintBoard() {
  const { width } = board.canvas;
  board.fillStyle = '#fff';
  board.fillRect(0, 0, width, width);
  board.imageSmoothingEnabled = false;
  if (example) board.drawImage(example.querySelector('canvas'), 0, 0, width, width);
  trace(board, strokes, width / SIDE, 0, 0);
}

const percent = (p) => `${(Math.floor(p * 1000) / 10).toFixed(1)}%`;  // 100.0% only if it is 1

// Show what is drawn and what the networks say; `speak` at the end of a stroke, not within it.
function show(speak = true) {
  const pixels = seenPixels();
  paintBoard();
  paint(byId('seen'), pixels || new Float64Array(784));
  const answers = pixels ? predict(pixels) : {};
  const said = names.map((name) => {
    const probabilities = answers[name] || [];
    const best = probabilities.indexOf(Math.max(...probabilities));
    document.querySelectorAll(`td[data-network="${name}"]`).forEach((cell, digit) => {
      cell.classList.toggle('best', digit === best);
      cell.style.setProperty('--p', probabilities[digit] || 0);
      cell.querySelector('.value').textContent = pixels ? percent(probabilities[digit]) : '';
    });
    return `${data.networks[name].label}: ${best} (${pixels && percent(probabilities[best])})`;
  });
  const added = strokes.length ? '에 덧그림' : '';
  const truth = example ? `예시(${example.getAttribute('aria-label')})${added}. ` : '';
  if (speak) byId('answer').textContent = pixels ? truth + said.join(', ') : nothing;
}

function choose(button) {
  if (example) example.setAttribute('aria-pressed', 'false');
  if (button) button.setAttribute('aria-pressed', 'true');
  example = button;
}

function place({ clientX, clientY }) {  // on the board or, outside, nearest: all ink is in view
  const { left, top, width: w } = board.canvas.getBoundingClientRect();
  return [clientX - left, clientY - top].map((v) => (SIDE * Math.min(Math.max(v, 0), w)) / w);
}
board.canvas.addEventListener('pointerdown', (event) => {
  if (!event.isPrimary || event.button !== 0) return;
  board.canvas.setPointerCapture(event.pointerId);
  current = [place(event)];
  strokes.push(current);
  show(false);
});
board.canvas.addEventListener('pointermove', (event) => {
  if (!current || !event.isPrimary) return;
  current.push(place(event));
  show(false);
});
for (const end of ['pointerup', 'pointercancel']) {
  board.canvas.addEventListener(end, (event) => {
    if (!event.isPrimary) return;
    current = null;
    show();
  });
}
byId('undo').addEventListener('click', () => {
  if (!strokes.pop()) choose(null);
  show();
});

function start(button) {
  strokes = [];
  choose(button);
  show();
}
byId('clear').addEventListener('click', () => start(null));
document.querySelectorAll('[data-example]').forEach((button) => {
  paint(button.querySelector('canvas'), pixelsOf(button));
  button.addEventListener('click', () => {
    start(button);
    board.canvas.scrollIntoView({ block: 'nearest' });
  });
});
show();
